"""One job on two nodes where the administrator has JobSet: each attempt is a JobSet, and all else is as with Jobs."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from cluster_user import ROOT, TRAINING_SECONDS, User, a_job, eventually, kubectl, shared_samples
from queues import a_queue, with_kueue
from release import changed

pytestmark = pytest.mark.long

CLUSTER = ROOT / "e2e/cluster"

INSTALL_SECONDS = 900
"""JobSet built, loaded and ready; usually 20 s, the first time some minutes more."""

AGAIN_WITHIN = 60
"""Seconds from the moment at which a pod is killed until the next attempt trains; usually 30 s."""

GRACE = 60
"""Seconds from a wish to suspend until no pod is left; the trainers have 30 to save."""

TOLD_WITHIN = 30
"""Seconds until the status shows what Kueue says."""

SPEC = {
    "model": {"name": "finetune.dev/tiny-phi3", "source": {"claim": {"name": "samples", "path": "models/tiny-phi3"}}},
    "task": "chat",
    "dataset": {"source": {"claim": {"name": "samples", "path": "datasets/python-docs-chat.jsonl"}}},
    "technique": {"method": "full"},
    "checkpoints": {"everySteps": 4, "storage": {"template": {"size": "1Gi", "storageClassName": "shared"}}},
    "hardware": {"accelerator": "cpu", "nodes": 2},
    "distribution": {"strategy": "ddp"},
}
STEPS = {"maxSteps": 12, "batchSize": 8, "sequenceLength": 64, "learningRate": 0.001}


@pytest.fixture(scope="module", autouse=True)
def jobset():
    """The real JobSet controller, and an operator that uses it; both are as before in the end."""
    subprocess.run([sys.executable, CLUSTER, "jobset"], check=True, timeout=INSTALL_SECONDS)
    with changed("config.profiles.trainer.multiNode=auto"):
        yield
    subprocess.run([sys.executable, CLUSTER, "without-jobset"], check=True, timeout=INSTALL_SECONDS)


@pytest.fixture(scope="module")
def sharing(shared_user):
    """A user whose claim `samples` pods of several nodes can mount."""
    yield shared_samples(shared_user)
    shared_user.kubectl("delete", "finetunejobs", "--all", "--wait=true")


def status(user: User, name: str) -> dict:
    return user.job(name).get("status", {})


def jobsets(user: User, name: str) -> list[str]:
    found = user.items("jobsets.jobset.x-k8s.io", "-l", f"finetune.dev/job-name={name}")
    return sorted(one["metadata"]["name"] for one in found)


def alive(user: User, name: str) -> list[dict]:
    return [pod for pod in user.pods(name) if pod["status"]["phase"] not in {"Succeeded", "Failed"}]


def saved(user: User, name: str) -> int:
    def step() -> int:
        return (status(user, name).get("checkpoint") or {}).get("step", 0)

    return eventually(step, within=TRAINING_SECONDS, waiting_for=f"a checkpoint of {name}")


def goes_on(user: User, name: str, attempt: int, step: int, *, within: float = AGAIN_WITHIN) -> None:
    def trains() -> bool:
        now = status(user, name)
        last = now["attempts"][-1]
        resumed = last.get("resumedFromStep") or 0
        return last["number"] == attempt and resumed >= step and (now.get("progress") or {}).get("step", 0) > resumed

    eventually(trains, within=within, waiting_for=f"attempt {attempt} to train on from step {step}")


def test_two_pods_of_a_jobset_train_to_the_end(sharing):
    sharing.apply(a_job("set", **SPEC, training=STEPS))
    ended = sharing.finished("set", within=TRAINING_SECONDS)["status"]
    assert ended["phase"] == "Succeeded", ended["message"]
    (attempt,) = ended["attempts"]
    assert jobsets(sharing, "set") == [attempt["job"]]
    assert sharing.items("jobs", "-l", "finetune.dev/job-name=set") == [], "the Job in it is not taken for an attempt"
    pods = sharing.pods("set")
    assert {pod["spec"]["subdomain"] for pod in pods} == {attempt["job"]}
    assert len(pods) == 2
    assert ended["result"]["artifacts"]


def test_a_killed_rank_ends_the_jobset_and_the_next_one_goes_on_from_the_checkpoint(sharing):
    sharing.apply(a_job("killed", **SPEC, training=STEPS | {"maxSteps": 4000}))
    step = saved(sharing, "killed")
    second = next(
        pod["metadata"]["name"]
        for pod in alive(sharing, "killed")
        if pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == "1"
    )
    killed = time.monotonic()
    sharing.kubectl("delete", "pod", second, "--grace-period=0", "--force")
    goes_on(sharing, "killed", 2, step, within=AGAIN_WITHIN - (time.monotonic() - killed))
    print(f"\ntrains again {time.monotonic() - killed:.1f} s after a pod was killed")
    assert len(jobsets(sharing, "killed")) == 2
    assert len(alive(sharing, "killed")) == 2

    sharing.kubectl("patch", "ftj", "killed", "--type=merge", "-p", '{"spec": {"suspend": true}}')
    sharing.wait_for("finetunejob/killed", "condition=Suspended", within=GRACE)
    assert alive(sharing, "killed") == []
    kept = status(sharing, "killed")["checkpoint"]["step"]
    assert kept >= step
    sharing.kubectl("patch", "ftj", "killed", "--type=merge", "-p", '{"spec": {"suspend": false}}')
    goes_on(sharing, "killed", 3, kept)


def test_a_queue_admits_all_pods_of_a_jobset_or_none(sharing):
    with with_kueue(), a_queue(sharing, room=1) as queue:
        sharing.apply(a_job("whole", **SPEC, training=STEPS | {"maxSteps": 4000}, queueName="team"))
        eventually(
            lambda: "quota" in (status(sharing, "whole").get("message") or ""),
            within=TOLD_WITHIN,
            waiting_for="Kueue's reason",
        )
        assert status(sharing, "whole")["phase"] == "Queued"
        assert sharing.pods("whole") == []
        queue.set(2)
        eventually(lambda: len(alive(sharing, "whole")) == 2, within=AGAIN_WITHIN, waiting_for="both pods")
        admitted = {one["type"]: one["status"] for one in status(sharing, "whole")["conditions"]}
        assert admitted["Admitted"] == "True"


def test_a_used_up_quota_is_told_of_a_jobset_as_well(sharing):
    sharing.kubectl("create", "quota", "full", "--hard=pods=0")
    try:
        sharing.apply(a_job("crowded", **SPEC, training=STEPS | {"maxSteps": 4000}))
        eventually(
            lambda: "exceeded quota" in (status(sharing, "crowded").get("message") or ""),
            within=TOLD_WITHIN,
            waiting_for="the reason why no pod comes",
        )
    finally:
        sharing.kubectl("delete", "quota", "full")
        sharing.kubectl("delete", "finetunejob", "crowded", "--wait=true")


def test_a_deleted_job_takes_its_jobset_along(sharing):
    sharing.apply(a_job("gone", **SPEC, training=STEPS | {"maxSteps": 4000}))
    eventually(lambda: len(alive(sharing, "gone")) == 2, within=AGAIN_WITHIN, waiting_for="both pods")
    sharing.kubectl("delete", "finetunejob", "gone", "--wait=false")
    eventually(
        lambda: not jobsets(sharing, "gone") and not sharing.pods("gone"), within=GRACE, waiting_for="all of it to go"
    )
    assert kubectl("-n", sharing.namespace, "get", "service", "-o", "name").count("gone") == 0
