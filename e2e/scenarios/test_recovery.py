"""What breaks a job off costs it no more than the steps since its checkpoint.

One job is broken off again and again: each story takes it as the one before left it, and finds it training in the end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from cluster_user import Job, User, a_job, eventually, kubectl

AGAIN_WITHIN = 60
"""Seconds from the moment at which a deletion begins until the job trains again."""

TOLD_WITHIN = 15
"""Seconds until REASON shows why a pod does not start."""

ROOM_WITHIN = 30
"""Seconds until an ended pod lets go of what it used."""

NAMESPACE_GONE_WITHIN = 60

NAME = "worn"
OF_IT = f"finetune.dev/job-name={NAME}"
ENDLESS = {"maxSteps": 100_000, "batchSize": 8, "sequenceLength": 64}
OFTEN = {"everySteps": 10, "everySeconds": 10}

ROWS = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "rows"},
    "data": {
        "rows.jsonl": "".join(
            json.dumps({"text": f"a {word} film, number {number}", "label": label}) + "\n"
            for number in range(50)
            for word, label in (("fine", "positive"), ("dull", "negative"))
        )
    },
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "samples"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
DATASET = {"source": {"configMap": {"name": "rows", "key": "rows.jsonl"}}, "validation": {"fraction": 0.1}}


@pytest.fixture(scope="module")
def worn(shared_sampled):
    """A user with a job that trains for as long as one lets it."""
    shared_sampled.apply(ROWS)
    shared_sampled.apply(a_job(NAME, dataset=DATASET, training=ENDLESS, checkpoints=OFTEN))
    shared_sampled.training(NAME)
    return shared_sampled


def attempts(user: User) -> list[Job]:
    return user.status(NAME)["attempts"]


def trains_again(user: User, number: int, within: float) -> Job:
    return eventually(lambda: user.trains_in(NAME, number), within=within, waiting_for=f"attempt {number} to train")


def broken_off(user: User, by: Callable[[], object]) -> tuple[Job, Job]:
    """Break the job off, once it has saved a later step than ever; return the attempt that ended and the next one."""
    last = attempts(user)[-1]
    step = user.saved(NAME, beyond=last.get("resumedFromStep") or 0)
    began = time.monotonic()
    by()
    trains_again(user, last["number"] + 1, AGAIN_WITHIN - (time.monotonic() - began))
    print(f"\ntrains again {time.monotonic() - began:.1f} s after the deletion began")
    assert len(user.alive(NAME)) == 1
    ended, following = attempts(user)[-2:]
    assert following["resumedFromStep"] >= max(step, ended["checkpointStep"])
    return ended, following


BREAKS = {
    "its pod is deleted": ("delete", "pod", "-l", OF_IT, "--wait=false"),
    "its pod is killed": ("delete", "pod", "-l", OF_IT, "--grace-period=0", "--force"),
    "its Job is deleted": ("delete", "job", "-l", OF_IT, "--wait=false"),
    "its Job is deleted and its pod left behind": ("delete", "job", "-l", OF_IT, "--cascade=orphan"),
}
ALWAYS_SHOWN = "its pod is killed"


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, id=how, marks=[] if how == ALWAYS_SHOWN else pytest.mark.long)
        for how, command in BREAKS.items()
    ],
)
def test_a_job_trains_again_at_its_checkpoint_when(worn, command):
    ended, _ = broken_off(worn, lambda: worn.kubectl(*command))
    assert ended["reason"] == "Interrupted"


def test_a_job_trains_again_at_its_checkpoint_when_its_node_is_drained(worn):
    (node,) = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    name = node["metadata"]["name"]

    def drained() -> None:
        try:
            kubectl("drain", name, f"--pod-selector={OF_IT}", "--delete-emptydir-data", "--timeout=45s")
        finally:
            kubectl("uncordon", name)

    ended, _ = broken_off(worn, drained)
    assert ended["reason"] == "Evicted"


@pytest.mark.long
def test_a_deleted_config_map_stops_nothing_that_trains_and_is_missed_at_the_next_attempt(worn):
    last = attempts(worn)[-1]
    step = worn.saved(NAME, beyond=last.get("resumedFromStep") or 0)
    (pod,) = worn.alive(NAME)
    worn.kubectl("delete", "configmap", "rows")
    worn.saved(NAME, beyond=step)
    assert worn.alive(NAME) == [pod]

    worn.kubectl("delete", "pod", pod)  # returns when it has gone
    eventually(lambda: worn.reason(NAME) == "ConfigMapNotFound", within=TOLD_WITHIN, waiting_for="the reason")
    assert "'rows'" in worn.status(NAME)["message"]
    assert worn.alive(NAME) == []
    worn.apply(ROWS)
    following = trains_again(worn, last["number"] + 1, AGAIN_WITHIN)
    assert following["resumedFromStep"] > step


@pytest.mark.long
def test_a_deleted_claim_stops_nothing_that_trains_and_the_next_attempt_begins_anew_on_another(worn):
    """Kubernetes keeps a claim for as long as a pod uses it; with it go the checkpoints."""
    (claim,) = worn.items("pvc", "-l", OF_IT)
    (pod,) = worn.alive(NAME)
    number = attempts(worn)[-1]["number"]
    worn.kubectl("delete", "pvc", claim["metadata"]["name"], "--wait=false")
    step = worn.status(NAME)["progress"]["step"]
    eventually(lambda: worn.status(NAME)["progress"]["step"] > step, within=TOLD_WITHIN, waiting_for="a later step")
    assert worn.alive(NAME) == [pod]

    worn.kubectl("delete", "pod", pod)
    trains_again(worn, number + 1, AGAIN_WITHIN + ROOM_WITHIN)
    (another,) = worn.items("pvc", "-l", OF_IT)
    assert another["metadata"]["uid"] != claim["metadata"]["uid"]
    following = attempts(worn)[-1]
    assert not following.get("resumedFromStep")
    assert worn.status(NAME)["progress"]["step"] < step


def test_a_deleted_namespace_goes_with_its_jobs_whether_they_train_or_wait(worn, user):
    user.apply(CLAIM)
    user.apply(a_job("waits", checkpoints={"storage": {"template": {"storageClassName": "none-such"}}}))
    eventually(lambda: user.alive("waits"), within=TOLD_WITHIN, waiting_for="a pod that waits")
    assert worn.alive(NAME)

    both = (worn.namespace, user.namespace)
    began = time.monotonic()
    kubectl("delete", "namespace", *both, "--wait=false")
    eventually(
        lambda: not kubectl("get", "namespace", *both, "--ignore-not-found"),
        within=NAMESPACE_GONE_WITHIN,
        waiting_for="both namespaces to go",
    )
    print(f"\nboth namespaces gone after {time.monotonic() - began:.1f} s")
    pods = json.loads(kubectl("get", "pods", "--all-namespaces", "-l", "finetune.dev/job-name", "-o", "json"))["items"]
    assert {pod["metadata"]["namespace"] for pod in pods}.isdisjoint(both)
