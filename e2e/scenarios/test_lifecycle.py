"""Jobs are suspended, resumed, cancelled and broken off, and lose nothing that was saved."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

import pytest
from cluster_user import SHORT_JOB_SECONDS, TRAINING_SECONDS, Job, KubectlError, User, a_job, eventually

LONG = {"maxSteps": 600, "batchSize": 8, "sequenceLength": 64}
SHORT = {"maxSteps": 5, "batchSize": 8, "sequenceLength": 32}
OFTEN = {"everySteps": 10, "everySeconds": 10}

GRACE = 45
"""Seconds from a wish to suspend or cancel until no pod is left; the trainer has 30 to save."""

AGAIN_WITHIN = 60
"""Seconds from a wish to go on until a job trains again."""

TOLD_WITHIN = 15
"""Seconds until REASON shows what a job waits for."""

SLACK = 10
"""Seconds by which a deadline may be missed: the trainer saves before it ends."""


@pytest.fixture(scope="module")
def sampled(shared_sampled):
    """One namespace for all stories here: each has jobs of its own."""
    return shared_sampled


def test_a_suspended_job_frees_its_devices_and_resumes_where_it_was(sampled):
    sampled.apply(a_job("rest", training=LONG, checkpoints=OFTEN))
    step = sampled.saved("rest")
    sampled.patch("rest", suspend=True)
    sampled.wait_for("finetunejob/rest", "condition=Suspended", within=GRACE)
    assert sampled.alive("rest") == []
    kept = sampled.status("rest")["checkpoint"]["step"]
    assert kept >= step
    assert sampled.condition("rest", "CheckpointAvailable")["status"] == "True"
    assert f"step {kept}" in sampled.condition("rest", "Suspended")["message"]

    sampled.patch("rest", suspend=False)
    second = eventually(lambda: sampled.trains_in("rest", 2), within=AGAIN_WITHIN, waiting_for="the second attempt")
    assert second["resumedFromStep"] == kept

    sampled.patch("rest", cancel=True)
    ended = sampled.finished("rest", within=GRACE)["status"]
    assert (ended["phase"], [one["reason"] for one in ended["attempts"]]) == ("Cancelled", ["Suspended", "Cancelled"])
    assert sampled.alive("rest") == []


class Watched:
    """A job that is looked at all the time while one waits for something."""

    def __init__(self, user: User, name: str) -> None:
        self.user, self.name = user, name
        self.most_pods = 0
        self.saved: list[int] = []

    def until(self, true: Callable[[Job], bool], *, within: float, waiting_for: str) -> None:
        """Look at it until something is true of its status."""

        def looked() -> bool:
            self.most_pods = max(self.most_pods, len(self.user.alive(self.name)))
            now = self.user.status(self.name)
            self.saved.append((now.get("checkpoint") or {}).get("step", 0))
            return true(now)

        eventually(looked, within=within, waiting_for=waiting_for, every=0.1)

    def lasts(self, seconds: float) -> None:
        """Look at it for some seconds."""
        until = time.monotonic() + seconds
        self.until(lambda _: time.monotonic() >= until, within=seconds + 30, waiting_for="the pause to be over")

    def suspend(self, *, wish: bool) -> None:
        self.user.patch(self.name, suspend=wish)

    def trainer_is_past_its_steps(self, _: Job) -> bool:
        """Ask the trainer itself: what comes after the last step takes less time than the status is behind."""
        for pod in self.user.alive(self.name):
            path = f"/api/v1/namespaces/{self.user.namespace}/pods/{pod}:8080/proxy/progress"
            try:
                said = json.loads(self.user.kubectl("get", "--raw", path, namespaced=False))
            except KubectlError:
                return False
            return said["step"] == said["totalSteps"] and said["phase"] in {"Evaluating", "Exporting"}
        return False


@pytest.mark.long
def test_toggling_at_any_moment_never_runs_two_attempts_and_never_loses_a_saved_step(sampled):
    held_out = a_job("x")["spec"]["dataset"] | {"validation": {"fraction": 0.1}}
    sampled.apply(a_job("toggle", dataset=held_out, training=LONG | {"maxSteps": 120}, checkpoints=OFTEN))
    job = Watched(sampled, "toggle")
    for pause in (0.0, 0.5, 2.0, 6.0):  # before there is anything to save
        for wish in (True, False):
            job.suspend(wish=wish)
            job.lasts(pause)

    job.until(lambda now: now.get("phase") == "Running", within=AGAIN_WITHIN, waiting_for="it to train")
    job.suspend(wish=True)  # while it saves
    job.until(lambda now: now.get("phase") == "Suspending", within=TOLD_WITHIN, waiting_for="it to save")
    job.suspend(wish=False)

    job.until(job.trainer_is_past_its_steps, within=TRAINING_SECONDS, waiting_for="the last step")
    job.suspend(wish=True)  # while it finishes
    job.lasts(1.0)
    job.suspend(wish=False)

    job.until(lambda now: now.get("phase") == "Succeeded", within=TRAINING_SECONDS, waiting_for="the end")
    ended = sampled.status("toggle")
    print(f"\n{[(one['reason'], one.get('resumedFromStep'), one.get('checkpointStep')) for one in ended['attempts']]}")
    assert job.most_pods == 1
    assert job.saved == sorted(job.saved)
    for before, after in itertools.pairwise(ended["attempts"]):
        if "resumedFromStep" in after:  # it came as far as to load a checkpoint
            assert after["resumedFromStep"] == before["checkpointStep"]
    assert any(one.get("resumedFromStep") for one in ended["attempts"])
    assert ended["progress"]["step"] == 120


def test_a_memory_limit_that_is_too_small_ends_in_a_finished_job_without_anybody_touching_it(sampled):
    """The plan is made for a far smaller model than the one that lies on the claim."""
    lie = {
        "architecture": "bert",
        "hiddenSize": 64,
        "layers": 1,
        "attentionHeads": 2,
        "intermediateSize": 128,
        "vocabularySize": 30522,
        "maxPositions": 512,
    }
    model = {
        "name": "somebody/understated",
        "shape": lie,
        "source": {"claim": {"name": "samples", "path": "models/all-minilm-l6-v2"}},
    }
    training = {"maxSteps": 3, "batchSize": 256, "sequenceLength": 256}
    sampled.apply(a_job("tight", model=model, training=training))
    ended = sampled.finished("tight", within=TRAINING_SECONDS)["status"]
    assert ended["phase"] == "Succeeded", ended["message"]
    reasons = [one["reason"] for one in ended["attempts"]]
    assert reasons[0] == "HostOutOfMemory"
    assert set(reasons[:-1]) == {"HostOutOfMemory"}
    assert all(one["change"] for one in ended["attempts"][1:])
    plan = ended["plan"]
    assert plan["microBatchSize"] * plan["gradientAccumulationSteps"] == training["batchSize"]


@pytest.mark.long
def test_a_deadline_counts_the_time_that_a_job_ran_and_not_that_it_was_suspended(sampled):
    seconds = 40
    sampled.apply(a_job("late", training=LONG, checkpoints=OFTEN, activeDeadlineSeconds=seconds))
    sampled.training("late")
    sampled.patch("late", suspend=True)
    sampled.wait_for("finetunejob/late", "condition=Suspended", within=GRACE)
    left = seconds - sampled.status("late")["attempts"][0]["activeSeconds"]
    rested = time.monotonic() + left + 2
    eventually(lambda: time.monotonic() > rested, within=left + 5, waiting_for="more than what is left to pass")
    assert sampled.status("late")["phase"] == "Suspended"
    sampled.patch("late", suspend=False)
    ended = sampled.finished("late", within=2 * seconds + GRACE)["status"]
    assert (ended["phase"], ended["columns"]["reason"]) == ("Failed", "DeadlineExceeded")
    assert seconds <= sum(one["activeSeconds"] for one in ended["attempts"]) <= seconds + SLACK + GRACE


def test_a_job_goes_when_its_time_to_live_is_over_or_leaves_its_status_behind(sampled):
    unreadable = {"source": {"claim": {"name": "samples", "path": "datasets/broken-row-7.jsonl"}}}
    for name, policy in (("all", "job"), ("some", "children")):
        sampled.apply(a_job(name, training=SHORT, dataset=unreadable, ttlSecondsAfterFinished=5, ttlPolicy=policy))
    sampled.finished("some", within=SHORT_JOB_SECONDS)

    def jobs() -> set[str]:
        return {one["metadata"]["name"] for one in sampled.items("finetunejobs")} & {"all", "some"}

    eventually(
        lambda: jobs() == {"some"} and not sampled.items("jobs,pods", "-l", "finetune.dev/job-name in (all,some)"),
        within=SHORT_JOB_SECONDS,
        waiting_for="one job to go whole and the other but for its status",
    )
    assert [one["reason"] for one in sampled.status("some")["attempts"]] == ["DataInvalid"]


@pytest.mark.long
def test_a_job_goes_on_from_another_ones_adapter_also_in_a_chain(sampled):
    first = a_job("first", training=SHORT | {"learningRate": 0.001})
    later = {"name": first["spec"]["model"]["name"]}
    measured = {"evaluation": {"baseline": True}}
    sampled.apply(a_job("third", model=later | {"fromJob": "second"}, training=SHORT, **measured))
    sampled.apply(a_job("second", model=later | {"fromJob": "first"}, training=SHORT, **measured))
    eventually(lambda: sampled.reason("third") == "FromJobUnfinished", within=TOLD_WITHIN, waiting_for="the reason")
    sampled.apply(first)
    ended = sampled.finished("third", within=2 * TRAINING_SECONDS)["status"]
    assert ended["phase"] == "Succeeded", ended["message"]
    results = [sampled.status(name)["result"] for name in ("first", "second", "third")]
    for parent, child in itertools.pairwise(results):
        assert child["metricsBefore"]["loss"] == pytest.approx(parent["metricsAfter"]["loss"], abs=1e-4)
    assert results[0]["metricsAfter"]["loss"] != pytest.approx(results[0]["metricsBefore"]["loss"], abs=1e-3)
