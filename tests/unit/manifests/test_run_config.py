"""The run that a pod reads. Not here: that it is read back as it was written (`test_build.py`)."""

import json

import pytest
from builders import KEY, a_job
from finetune_operator.api import keys
from finetune_operator.api.schema import crd
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.run_config import pod_annotations, trainer_run
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import Profiles

ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes that Kubernetes takes of all annotations of an object."""

SHARE = 200 * 1024
"""Bytes of those that a run may have: other programs annotate pods too."""

OPTION = 256
"""Characters of an option of an adapter, whose schema is open; the model and a rule of the API bound it."""


def longest(schema):
    """The most bytes that a value of a schema has as JSON."""
    if "enum" in schema:
        return max(len(word) for word in schema["enum"]) + 2
    if schema.get("type") == "string":
        pattern = schema.get("pattern")
        letters = 64 if pattern == "^[0-9a-f]{64}$" else schema["maxLength"]
        anything = pattern is None or r"\S" in pattern or r"[^" in pattern
        return letters * (4 if anything else 1) + 2
    if schema.get("type") == "array":
        return schema["maxItems"] * (longest(schema["items"]) + 1) + 2
    if "additionalProperties" in schema:
        return schema["maxProperties"] * (OPTION + 4 * OPTION)
    if "properties" in schema:
        return sum(len(name) + 4 + longest(field) for name, field in schema["properties"].items()) + 2
    return 24  # a number or a boolean


def test_the_longest_job_that_the_api_takes_fits_into_an_annotation():
    schema = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert longest(schema) < SHARE < ANNOTATIONS_LIMIT


def test_the_run_of_an_ordinary_job_is_short_and_so_are_the_reasons_in_it():
    spec, profiles = a_job(), Profiles()
    written = json.loads(pod_annotations(Attempt(KEY, spec, plan(spec, profiles), profiles, 1))[keys.ANNOTATION_RUN])
    reasons = written.pop("choices")
    assert len(json.dumps(written, separators=(",", ":"))) < 2048
    assert len(json.dumps(reasons, separators=(",", ":"))) < 2048


def test_the_trainer_is_told_what_was_chosen_and_why():
    spec, profiles = a_job(), Profiles()
    planned = plan(spec, profiles)
    told = trainer_run(Attempt(KEY, spec, planned, profiles, 1)).choices
    assert [(each.name, each.value, each.reason) for each in told] == [
        (each.name, each.value, each.reason) for each in planned.choices
    ]
    assert "training.learningRate" in {each.name for each in told}


SHARINGS = {
    "one process": ({}, {}, ("none", 0, 1, 1)),
    "DDP": ({"strategy": "ddp"}, {"nodes": 2}, ("ddp", 0, 2, 1)),
    "ZeRO": ({"strategy": "deepspeed", "zeroStage": 2}, {"nodes": 2}, ("deepspeed", 2, 2, 1)),
    "all GPUs of a node": ({"strategy": "fsdp"}, {"accelerator": "nvidia-l4", "devicesPerNode": 4}, ("fsdp", 0, 1, 4)),
}


@pytest.mark.parametrize(("distribution", "hardware", "want"), SHARINGS.values(), ids=SHARINGS)
def test_the_trainer_is_told_how_processes_share_the_work(distribution, hardware, want):
    spec = a_job(distribution=distribution or {}, hardware=hardware or {"accelerator": "cpu"})
    told = trainer_run(Attempt(KEY, spec, plan(spec, Profiles()), Profiles(), 1)).distribution
    assert (told.strategy, told.zero_stage, told.nodes, told.processes_per_node) == want


def test_the_trainer_is_told_what_to_measure_and_when_to_stop():
    measured = {"everySteps": 5, "metrics": ["f1", "recall"], "best": "f1"}
    spec = a_job(evaluation=measured, training={"earlyStopping": {"patience": 2, "threshold": 0.1}})
    told = trainer_run(Attempt(KEY, spec, plan(spec, Profiles()), Profiles(), 1))
    assert (told.evaluation.every_steps, told.evaluation.metrics, told.evaluation.best) == (5, ("f1", "recall"), "f1")
    assert (told.training.early_stopping.patience, told.training.early_stopping.threshold) == (2, 0.1)
