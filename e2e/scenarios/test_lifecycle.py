"""Jobs are suspended, resumed, cancelled and broken off, and lose nothing that was saved."""

from __future__ import annotations

import json
import time

import pytest
from cluster_user import SHORT_JOB_SECONDS, TRAINING_SECONDS, User, a_job, eventually

LONG = {"maxSteps": 600, "batchSize": 8, "sequenceLength": 64}
SHORT = {"maxSteps": 5, "batchSize": 8, "sequenceLength": 32}
OFTEN = {"everySteps": 10, "everySeconds": 10}

GRACE = 45
"""Seconds from a wish to suspend or cancel until no pod is left; the trainer has 30 to save."""

AGAIN_WITHIN = 60
"""Seconds from the death of a pod until its job trains again."""

TOLD_WITHIN = 15
"""Seconds until REASON shows why a pod does not start."""

FIRST_CHECKPOINT = 90
"""Seconds from the first step to a checkpoint of that; usually 5."""

SLACK = 10
"""Seconds by which a deadline may be missed: the trainer saves before it ends."""


def patch(user: User, name: str, **spec: object) -> None:
    words = ", ".join(f'"{key}": {str(value).lower()}' for key, value in spec.items())
    user.kubectl("patch", "ftj", name, "--type=merge", "-p", f'{{"spec": {{{words}}}}}')


def status(user: User, name: str) -> dict:
    return user.job(name).get("status", {})


def condition(user: User, name: str, kind: str) -> dict:
    return next((one for one in status(user, name).get("conditions", ()) if one["type"] == kind), {})


def reason(user: User, name: str) -> str:
    return (status(user, name).get("columns") or {}).get("reason", "")


def alive(user: User, name: str) -> list[str]:
    return [pod["metadata"]["name"] for pod in user.pods(name) if pod["status"]["phase"] not in {"Succeeded", "Failed"}]


def saved(user: User, name: str) -> int:
    """Wait for a checkpoint and return its step."""

    def step() -> int:
        return (status(user, name).get("checkpoint") or {}).get("step", 0)

    user.training(name)
    return eventually(step, within=FIRST_CHECKPOINT, waiting_for=f"a checkpoint of {name}")


def trains_in(user: User, name: str, attempt: int) -> dict:
    """Return the record of an attempt once it trains."""
    now = status(user, name)
    last = (now.get("attempts") or [{}])[-1]
    return last if last.get("number") == attempt and now.get("phase") == "Running" else {}


def test_a_suspended_job_frees_its_devices_and_resumes_where_it_was(sampled):
    sampled.apply(a_job("rest", training=LONG, checkpoints=OFTEN))
    step = saved(sampled, "rest")
    patch(sampled, "rest", suspend=True)
    sampled.wait_for("finetunejob/rest", "condition=Suspended", within=GRACE)
    assert alive(sampled, "rest") == []
    kept = status(sampled, "rest")["checkpoint"]["step"]
    assert kept >= step
    assert condition(sampled, "rest", "CheckpointAvailable")["status"] == "True"
    assert f"step {kept}" in condition(sampled, "rest", "Suspended")["message"]

    patch(sampled, "rest", suspend=False)
    second = eventually(lambda: trains_in(sampled, "rest", 2), within=AGAIN_WITHIN, waiting_for="the second attempt")
    assert second["resumedFromStep"] == kept

    patch(sampled, "rest", cancel=True)
    ended = sampled.finished("rest", within=GRACE)["status"]
    assert (ended["phase"], [one["reason"] for one in ended["attempts"]]) == ("Cancelled", ["Suspended", "Cancelled"])
    assert alive(sampled, "rest") == []


def test_toggling_fast_never_runs_two_attempts_and_never_loses_a_saved_step(sampled):
    sampled.apply(a_job("toggle", training=LONG | {"maxSteps": 120}, checkpoints=OFTEN))
    most, steps = 0, []
    for pause in (0.0, 0.5, 2.0, 6.0, 12.0, 1.0):
        for wish in (True, False):
            patch(sampled, "toggle", suspend=wish)
            until = time.monotonic() + pause

            def looked(until: float = until) -> bool:
                nonlocal most
                most = max(most, len(alive(sampled, "toggle")))
                steps.append((status(sampled, "toggle").get("checkpoint") or {}).get("step", 0))
                return time.monotonic() >= until

            eventually(looked, within=pause + 30, waiting_for="the pause to be over", every=0.2)
    ended = sampled.finished("toggle", within=TRAINING_SECONDS)["status"]
    assert ended["phase"] == "Succeeded", ended["message"]
    assert most == 1
    assert steps == sorted(steps)
    resumed = [one.get("resumedFromStep") or 0 for one in ended["attempts"]]
    assert resumed == sorted(resumed)
    assert ended["progress"]["step"] == 120


BREAKS = {
    "its pod is deleted": ("delete", "pod", "-l", "finetune.dev/job-name=broken", "--wait=false"),
    "its pod is killed": ("delete", "pod", "-l", "finetune.dev/job-name=broken", "--grace-period=0", "--force"),
    "its Job is deleted": ("delete", "job", "-l", "finetune.dev/job-name=broken", "--wait=false"),
    "its Job is deleted and its pod left behind": (
        "delete",
        "job",
        "-l",
        "finetune.dev/job-name=broken",
        "--cascade=orphan",
    ),
}


@pytest.mark.parametrize("command", BREAKS.values(), ids=BREAKS)
def test_a_job_trains_again_at_its_checkpoint_when(sampled, command):
    sampled.apply(a_job("broken", training=LONG, checkpoints=OFTEN))
    step, began = saved(sampled, "broken"), time.monotonic()
    sampled.kubectl(*command)
    second = eventually(lambda: trains_in(sampled, "broken", 2), within=AGAIN_WITHIN, waiting_for="attempt 2")
    print(f"\ntrains again after {time.monotonic() - began:.1f} s")
    assert second["resumedFromStep"] >= step
    assert len(alive(sampled, "broken")) == 1


def test_an_evicted_pod_as_when_its_node_is_drained_goes_on_at_its_checkpoint(sampled):
    sampled.apply(a_job("moved", training=LONG, checkpoints=OFTEN))
    step, began = saved(sampled, "moved"), time.monotonic()
    (pod,) = alive(sampled, "moved")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    path = f"/api/v1/namespaces/{sampled.namespace}/pods/{pod}/eviction"
    sampled.kubectl("create", "--raw", path, "-f", "-", namespaced=False, stdin=json.dumps(eviction))
    second = eventually(lambda: trains_in(sampled, "moved", 2), within=AGAIN_WITHIN, waiting_for="attempt 2")
    print(f"\ntrains again after {time.monotonic() - began:.1f} s")
    assert second["resumedFromStep"] >= step
    assert status(sampled, "moved")["attempts"][0]["reason"] == "Evicted"


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


STUCK = {
    "no storage class makes its claim": (
        {"checkpoints": {"storage": {"template": {"storageClassName": "none-such"}}}},
        "Unschedulable",
    ),
    "a claim that it names is not there": ({"checkpoints": {"storage": {"claim": {"name": "nope"}}}}, "ClaimNotFound"),
    "the job that it goes on from is not there": (
        {"model": a_job("x")["spec"]["model"] | {"fromJob": "nobody"}},
        "FromJobNotFound",
    ),
}


@pytest.mark.parametrize(("spec", "want"), STUCK.values(), ids=STUCK)
def test_a_job_that_does_not_start_says_why_and_can_be_cancelled_when(shared_sampled, spec, want):
    name = want.lower()
    shared_sampled.apply(a_job(name, training=SHORT, **spec))
    eventually(lambda: reason(shared_sampled, name) == want, within=TOLD_WITHIN, waiting_for=f"REASON {want}")
    patch(shared_sampled, name, cancel=True)
    assert shared_sampled.finished(name, within=GRACE)["status"]["phase"] == "Cancelled"


def test_a_used_up_quota_is_told_and_the_job_goes_on_when_there_is_room(sampled):
    sampled.kubectl("create", "quota", "full", "--hard=pods=0")
    sampled.apply(a_job("crowded", training=SHORT))
    eventually(lambda: reason(sampled, "crowded") == "QuotaExceeded", within=TOLD_WITHIN, waiting_for="the reason")
    assert "exceeded quota" in status(sampled, "crowded")["message"]
    sampled.kubectl("delete", "quota", "full")
    ended = sampled.finished("crowded", within=TRAINING_SECONDS)["status"]
    assert (ended["phase"], len(ended["attempts"])) == ("Succeeded", 1)


def test_a_deadline_counts_the_time_that_a_job_ran_and_not_that_it_was_suspended(sampled):
    seconds = 40
    sampled.apply(a_job("late", training=LONG, checkpoints=OFTEN, activeDeadlineSeconds=seconds))
    sampled.training("late")
    patch(sampled, "late", suspend=True)
    sampled.wait_for("finetunejob/late", "condition=Suspended", within=GRACE)
    left = seconds - status(sampled, "late")["attempts"][0]["activeSeconds"]
    rested = time.monotonic() + left + 2
    eventually(lambda: time.monotonic() > rested, within=left + 5, waiting_for="more than what is left to pass")
    assert status(sampled, "late")["phase"] == "Suspended"
    patch(sampled, "late", suspend=False)
    ended = sampled.finished("late", within=2 * seconds + GRACE)["status"]
    assert (ended["phase"], ended["columns"]["reason"]) == ("Failed", "DeadlineExceeded")
    assert seconds <= sum(one["activeSeconds"] for one in ended["attempts"]) <= seconds + SLACK + GRACE


def test_a_job_goes_when_its_time_to_live_is_over_or_leaves_its_status_behind(sampled):
    unreadable = {"source": {"claim": {"name": "samples", "path": "datasets/broken-row-7.jsonl"}}}
    for name, policy in (("all", "job"), ("some", "children")):
        sampled.apply(a_job(name, training=SHORT, dataset=unreadable, ttlSecondsAfterFinished=5, ttlPolicy=policy))
    sampled.finished("some", within=SHORT_JOB_SECONDS)

    def left(what: str) -> set[str]:
        return {one["metadata"]["name"] for one in sampled.items(what)}

    eventually(
        lambda: left("finetunejobs") == {"some"} and not left("jobs") & {"all", "some"} and not sampled.pods("some"),
        within=SHORT_JOB_SECONDS,
        waiting_for="one job to go whole and the other but for its status",
    )
    assert [one["reason"] for one in status(sampled, "some")["attempts"]] == ["DataInvalid"]


def test_a_job_goes_on_from_another_ones_adapter_also_in_a_chain(sampled):
    first = a_job("first", training=SHORT)
    later = {"name": first["spec"]["model"]["name"]}
    sampled.apply(a_job("third", model=later | {"fromJob": "second"}, training=SHORT))
    sampled.apply(a_job("second", model=later | {"fromJob": "first"}, training=SHORT))
    eventually(lambda: reason(sampled, "third") == "FromJobUnfinished", within=TOLD_WITHIN, waiting_for="the reason")
    sampled.apply(first)
    ended = sampled.finished("third", within=2 * TRAINING_SECONDS)["status"]
    assert ended["phase"] == "Succeeded", ended["message"]
