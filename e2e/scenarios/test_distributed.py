"""One job on two nodes: two pods that learn what one does, and a pod that is killed costs no more than a few steps."""

from __future__ import annotations

import time

import pytest
import yaml
from cluster_user import ROOT, TRAINING_SECONDS, a_job, eventually, shared_samples

EXAMPLE = ROOT / "examples/14-distributed-zero.yaml"

AGAIN_WITHIN = 60
"""Seconds from the moment at which a pod is killed until the next attempt trains; usually 30 s."""

CHAT = {
    "model": {"name": "finetune.dev/tiny-phi3", "source": {"claim": {"name": "samples", "path": "models/tiny-phi3"}}},
    "task": "chat",
    "dataset": {"source": {"claim": {"name": "samples", "path": "datasets/python-docs-chat.jsonl"}}},
    "technique": {"method": "full"},
    "training": {"maxSteps": 12, "batchSize": 8, "sequenceLength": 64, "learningRate": 0.001},
    "checkpoints": {"everySteps": 4, "storage": {"template": {"size": "1Gi", "storageClassName": "shared"}}},
}
TWO_NODES = {"accelerator": "cpu", "nodes": 2}
SHARINGS = {
    "ddp": {"strategy": "ddp"},
    "zero-2": {"strategy": "deepspeed", "zeroStage": 2},
    "zero-3": {"strategy": "deepspeed", "zeroStage": 3},
}
ALWAYS_SHOWN = "zero-2"


@pytest.fixture(scope="module")
def sharing(shared_user):
    """A user whose claim `samples` pods of several nodes can mount."""
    return shared_samples(shared_user)


def job_of(name, **spec):
    """A job on the small Phi-3."""
    return a_job(name, **CHAT | spec)


def succeeded(user, name):
    status = user.finished(name, within=TRAINING_SECONDS)["status"]
    assert status["phase"] == "Succeeded", status["message"]
    return status


@pytest.fixture(scope="module")
def one_node(sharing):
    """What one pod makes of the job."""
    sharing.apply(job_of("one", checkpoints={"everySteps": 4}))
    return succeeded(sharing, "one")["result"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == ALWAYS_SHOWN else pytest.mark.long) for name in SHARINGS]
)
def test_two_pods_learn_what_one_does(sharing, one_node, name):
    sharing.apply(job_of(name, hardware=TWO_NODES, distribution=SHARINGS[name]))
    status = succeeded(sharing, name)
    print(f"\n{name}: {status['result']}")
    assert len(sharing.pods(name)) == 2
    assert status["result"]["finalLoss"] == pytest.approx(one_node["finalLoss"], abs=2e-3)
    assert status["result"]["artifacts"]


@pytest.mark.long
def test_the_example_on_two_nodes_succeeds(sharing):
    sharing.apply_file(EXAMPLE)
    result = succeeded(sharing, yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["metadata"]["name"])["result"]
    assert result["metricsAfter"]["loss"] < result["metricsBefore"]["loss"]


@pytest.mark.long
def test_a_killed_pod_ends_the_attempt_and_the_next_one_goes_on_from_the_checkpoint(sharing):
    long = {**CHAT["training"], "maxSteps": 400}
    sharing.apply(job_of("killed", hardware=TWO_NODES, distribution=SHARINGS["zero-2"], training=long))

    def has_a_checkpoint():
        return sharing.job("killed").get("status", {}).get("checkpoint")

    eventually(has_a_checkpoint, within=TRAINING_SECONDS, waiting_for="a checkpoint of both pods")
    second = next(pod for pod in sharing.pods("killed") if pod["metadata"]["name"].rsplit("-", 2)[1] == "1")
    killed = time.monotonic()
    sharing.kubectl("delete", "pod", second["metadata"]["name"], "--grace-period=0", "--force")

    def goes_on():
        status = sharing.job("killed")["status"]
        resumed_from = status["attempts"][-1].get("resumedFromStep")
        return resumed_from and status["progress"]["step"] > resumed_from

    left = AGAIN_WITHIN - (time.monotonic() - killed)
    eventually(goes_on, within=left, waiting_for="the next attempt to train on from the checkpoint")
    print(f"\ntrains again {time.monotonic() - killed:.1f} s after a pod was killed")
    sharing.kubectl("delete", "finetunejob", "killed", "--wait=false")
