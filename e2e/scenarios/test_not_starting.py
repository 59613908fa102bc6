"""A job that does not start says why, in seconds, and does not hold anything for ever."""

from __future__ import annotations

import time

import pytest
from cluster_user import TRAINING_SECONDS, a_job, eventually, shared_samples
from release import changed

GRACE = 45
"""Seconds from a wish to cancel until a job has ended."""

TOLD_WITHIN = 15
"""Seconds until REASON shows why a pod does not start."""

SLACK = 15
"""Seconds by which an end may come after its deadline."""

START_DEADLINE = 25
"""Seconds in which the administrator wants all pods of an attempt to have started; long enough for those that can."""

SHORT = {"maxSteps": 5, "batchSize": 8, "sequenceLength": 32}
MODEL = a_job("x")["spec"]["model"]
NO_IMAGE = {"image": "finetune-trainer:none-such"}
"""The administrator allows it, but there is no such image; see e2e/install.py."""

NO_SECRET = {"model": MODEL | {"source": {"hub": {}}, "tokenSecretRef": {"name": "none-such", "key": "token"}}}

STUCK = {
    "no storage class makes its claim": (
        {"checkpoints": {"storage": {"template": {"storageClassName": "none-such"}}}},
        "Unschedulable",
    ),
    "its image is not to be had": (NO_IMAGE, "ImagePull"),
    "a Secret that it names is not there": (NO_SECRET, "ContainerConfig"),
    "a claim that it names is not there": ({"checkpoints": {"storage": {"claim": {"name": "nope"}}}}, "ClaimNotFound"),
    "a ConfigMap that it names is not there": (
        {"dataset": {"source": {"configMap": {"name": "nope", "key": "rows.jsonl"}}}},
        "ConfigMapNotFound",
    ),
    "the job that it goes on from is not there": ({"model": MODEL | {"fromJob": "nobody"}}, "FromJobNotFound"),
}


@pytest.mark.parametrize(("spec", "want"), STUCK.values(), ids=STUCK)
def test_a_job_that_does_not_start_says_why_and_can_be_cancelled_when(shared_sampled, spec, want):
    name = want.lower()
    shared_sampled.apply(a_job(name, training=SHORT, **spec))
    eventually(lambda: shared_sampled.reason(name) == want, within=TOLD_WITHIN, waiting_for=f"REASON {want}")
    shared_sampled.patch(name, cancel=True)
    assert shared_sampled.finished(name, within=GRACE)["status"]["phase"] == "Cancelled"
    assert shared_sampled.alive(name) == []


def test_a_used_up_quota_is_told_and_the_job_goes_on_when_there_is_room_also_without_its_claim(sampled):
    sampled.kubectl("create", "quota", "full", "--hard=pods=0")
    sampled.apply(a_job("crowded", training=SHORT))
    eventually(lambda: sampled.reason("crowded") == "QuotaExceeded", within=TOLD_WITHIN, waiting_for="the reason")
    assert "exceeded quota" in sampled.status("crowded")["message"]
    sampled.kubectl("delete", "pvc", "-l", "finetune.dev/job-name=crowded")  # which nothing uses yet
    sampled.kubectl("delete", "quota", "full")
    ended = sampled.finished("crowded", within=TRAINING_SECONDS)["status"]
    assert (ended["phase"], len(ended["attempts"])) == ("Succeeded", 1)


def test_storage_that_goes_with_the_pod_says_at_once_that_nothing_can_resume(shared_sampled):
    shared_sampled.apply(a_job("fleeting", suspend=True, checkpoints={"storage": {"ephemeral": {}}}))
    found = eventually(
        lambda: shared_sampled.condition("fleeting", "CheckpointAvailable"), within=TOLD_WITHIN, waiting_for="the word"
    )
    assert (found["status"], found["reason"]) == ("False", "Ephemeral")
    assert "nothing can resume" in found["message"]
    assert shared_sampled.pods("fleeting") == []


def test_a_claim_of_one_node_is_refused_to_a_job_on_two(shared_sampled):
    two = {"accelerator": "cpu", "nodes": 2}
    shared_sampled.apply(a_job("apart", hardware=two, checkpoints={"storage": {"claim": {"name": "samples"}}}))
    ended = shared_sampled.finished("apart", within=TOLD_WITHIN)["status"]
    assert (ended["phase"], ended["columns"]["reason"]) == ("Failed", "ClaimNotShared")
    assert "claim 'samples' cannot be used on 2 nodes at a time by its access modes" in ended["message"]
    assert shared_sampled.pods("apart") == []


@pytest.mark.long
def test_a_stuck_pod_ends_at_the_jobs_own_deadline(shared_sampled):
    seconds = 15
    shared_sampled.apply(a_job("due", training=SHORT, activeDeadlineSeconds=seconds, **NO_IMAGE))
    eventually(lambda: shared_sampled.reason("due") == "ImagePull", within=TOLD_WITHIN, waiting_for="the reason")
    ended = shared_sampled.finished("due", within=seconds + SLACK)["status"]
    assert (ended["phase"], ended["columns"]["reason"]) == ("Failed", "DeadlineExceeded")
    assert shared_sampled.alive("due") == []


@pytest.mark.long
def test_pods_that_do_not_all_start_by_the_administrators_deadline_are_let_go_with_the_reason(user, shared_sampled):
    """One pod whose image is not to be had, and one of two pods that has a place and waits for the other."""
    shared_samples(user)
    user.kubectl("create", "quota", "one", "--hard=pods=1")
    pair = {
        "hardware": {"accelerator": "cpu", "nodes": 2},
        "distribution": {"strategy": "ddp"},
        "checkpoints": {"storage": {"template": {"size": "1Gi", "storageClassName": "shared"}}},
    }
    with changed(f"config.profiles.trainer.startDeadlineSeconds={START_DEADLINE}"):
        began = time.monotonic()
        shared_sampled.apply(a_job("stuck", training=SHORT, **NO_IMAGE))
        user.apply(a_job("pair", training=SHORT, **pair))
        eventually(lambda: user.reason("pair") == "QuotaExceeded", within=TOLD_WITHIN, waiting_for="the reason")
        (first,) = user.alive("pair")
        user.wait_for(f"pod/{first}", "condition=Ready", within=START_DEADLINE)
        for owner, name, reason in ((shared_sampled, "stuck", "ImagePull"), (user, "pair", "QuotaExceeded")):
            left = began + START_DEADLINE + SLACK + GRACE - time.monotonic()
            ended = owner.finished(name, within=left)["status"]
            assert (ended["phase"], ended["columns"]["reason"]) == ("Failed", reason)
            assert ended["message"].startswith(f"did not start within {START_DEADLINE} s: "), ended["message"]
            assert owner.alive(name) == []
