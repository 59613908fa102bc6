"""What `kubectl apply` itself refuses, in words a user can act on."""

from __future__ import annotations

import pytest
from cluster_user import KubectlError, a_job

CLAIM = {"claim": {"name": "samples"}}
REFUSED = {
    "two model sources at once": (
        {"model": {"name": "tiny-phi3", "source": {"hub": {}, **CLAIM}}},
        "spec.model.source: set exactly one of hub, claim, oci, s3",
    ),
    "no dataset source": ({"dataset": {"source": {}}}, "spec.dataset.source: set exactly one of claim, configMap, hub"),
    "two ways to hold rows out": (
        {"dataset": {"source": CLAIM, "validation": {"fraction": 0.1, "source": CLAIM}}},
        "spec.dataset.validation: set exactly one of fraction, source",
    ),
    "two storages": (
        {"checkpoints": {"storage": {"ephemeral": {}, "template": {}}}},
        "spec.checkpoints.storage: set exactly one of claim, template, ephemeral",
    ),
    "quantization without qlora": (
        {"technique": {"method": "lora", "quantization": {"type": "nf4"}}},
        "set method: qlora or remove quantization",
    ),
    "an adapter with full": (
        {"technique": {"method": "full", "lora": {"rank": 8}}},
        "remove lora or set method: lora",
    ),
    "epochs and steps": ({"training": {"epochs": 1, "maxSteps": 5}}, "epochs and maxSteps contradict each other"),
    "a micro-batch that does not divide the batch": (
        {"training": {"batchSize": 32, "microBatchSize": 5}},
        "must divide batchSize",
    ),
    "packing for classification": ({"training": {"packing": True}}, "only tasks causal-lm, instruction and chat pack"),
    "a path that leaves its claim": (
        {"dataset": {"source": {"claim": {"name": "samples", "path": "../secrets"}}}},
        "spec.dataset.source.claim.path",
    ),
    "an unknown task": ({"task": "poetry"}, 'supported values: "chat", "instruction", "causal-lm"'),
    "two ways to name hardware": (
        {"hardware": {"accelerator": "cpu", "profile": "small"}},
        "spec.hardware: set at most one of profile, accelerator, instanceType",
    ),
    "a ZeRO stage without DeepSpeed": (
        {"distribution": {"zeroStage": 3}},
        "set strategy: deepspeed or remove zeroStage",
    ),
    "rows of pairs for a classifier": (
        {"dataset": {"source": CLAIM, "format": "preference"}},
        "spec.dataset.format: does not serve spec.task",
    ),
    "a misspelt field": ({"training": {"maxStep": 5}}, 'unknown field "spec.training.maxStep"'),
}


@pytest.mark.parametrize(("spec", "want"), REFUSED.values(), ids=REFUSED)
def test_apply_refuses(shared_user, spec, want):
    with pytest.raises(KubectlError) as refused:
        shared_user.apply(a_job("contradiction", **spec), "--dry-run=server")
    assert want in str(refused.value)


def test_a_name_too_long_for_its_children_is_refused(shared_user):
    with pytest.raises(KubectlError, match="at most 50 characters"):
        shared_user.apply(a_job("x" * 51), "--dry-run=server")


def test_the_smallest_job_is_accepted(shared_user):
    smallest = {key: a_job("small")["spec"][key] for key in ("task", "dataset")} | {"model": {"name": "tiny-phi3"}}
    job = a_job("small")
    job["spec"] = smallest
    assert "created (server dry run)" in shared_user.apply(job, "--dry-run=server")


def test_every_field_is_explained(shared_user):
    told = shared_user.kubectl("explain", "finetunejobs.spec", "--recursive", namespaced=False)
    for field in ("maxInvalidRows", "doubleQuant", "storageClassName", "activeDeadlineSeconds"):
        assert field in told
