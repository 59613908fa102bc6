"""What the schema itself refuses and fills in on a real API server, beside its rules."""

import pathlib

import pytest
import yaml
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from real_jobs import Refused, smallest
from rule_cases import FULL

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))

REFUSED = {
    "a misspelt field": ({"training": {"maxStep": 5}}, 'unknown field "spec.training.maxStep"'),
    "a field where there is none": (
        {"model": {"source": {"hub": {"a": 1}}}},
        'unknown field "spec.model.source.hub.a"',
    ),
    "an unknown task": ({"task": "poetry"}, 'spec.task: Unsupported value: "poetry"'),
    "an unknown method": ({"technique": {"method": "magic"}}, "spec.technique.method: Unsupported value"),
    "an adapter that PEFT does not have": (
        {"technique": {"method": "peft", "peft": {"type": "magic"}}},
        "spec.technique.peft.type: Unsupported value",
    ),
    "the same goal twice": (
        {"technique": {"goals": ["quality", "quality"]}},
        "spec.technique.goals[1]: Duplicate value",
    ),
    "the same format twice": ({"output": {"formats": ["onnx", "onnx"]}}, "spec.output.formats[1]: Duplicate value"),
    "no format": ({"output": {"formats": []}}, "spec.output.formats: Invalid value"),
    "a ZeRO stage that there is not": ({"distribution": {"zeroStage": 4}}, "spec.distribution.zeroStage"),
    "a number written as text": ({"training": {"batchSize": "32"}}, "must be of type integer"),
    "accelerators in upper case": ({"hardware": {"accelerator": "NVIDIA"}}, "spec.hardware.accelerator"),
    "no devices": ({"hardware": {"devicesPerNode": 0}}, "spec.hardware.devicesPerNode"),
    "a path that leaves its claim": (
        {"dataset": {"source": {"claim": {"path": "../secrets"}}}},
        "spec.dataset.source.claim.path",
    ),
    "an address without encryption": (
        {"dataset": {"source": {"claim": None, "https": {"url": "http://example.org/a"}}}},
        "spec.dataset.source.https.url",
    ),
    "a password in an address": (
        {"dataset": {"source": {"claim": None, "https": {"url": "https://me:secret@example.org/a"}}}},
        "spec.dataset.source.https.url",
    ),
    "a bucket without credentials to write": (
        {"output": {"destinations": [{"s3": {"uri": "s3://bucket/a"}}]}},
        "spec.output.destinations[0].s3.secretRef: Required value",
    ),
    "a hub without a token to write": (
        {"output": {"destinations": [{"hub": {"repository": "a/b"}}]}},
        "spec.output.destinations[0].hub.tokenSecretRef: Required value",
    ),
    "a secret of another namespace": (
        {"model": {"tokenSecretRef": {"name": "hub", "key": "token", "namespace": "other"}}},
        'unknown field "spec.model.tokenSecretRef.namespace"',
    ),
    "options without end": (
        {"technique": {"method": "peft", "peft": {"type": "ia3", "options": {f"a{n}": n for n in range(33)}}}},
        "spec.technique.peft.options: Too many",
    ),
    "no model": ({"model": None}, "spec.model: Required value"),
}


@pytest.mark.parametrize(("fields", "want"), REFUSED.values(), ids=REFUSED)
def test_the_schema_refuses(jobs, fields, want):
    with pytest.raises(Refused) as refused:
        jobs.create(smallest(**fields))
    assert want in str(refused.value)


def test_the_smallest_job_gets_only_the_words_of_a_job_filled_in(jobs):
    taken = jobs.create(smallest())["spec"]
    assert taken.keys() - smallest().keys() == {"suspend", "cancel", "backoffLimit", "ttlPolicy"}
    assert taken["dataset"]["format"] == "auto"


def test_defaults_of_the_server_are_those_of_the_models(jobs):
    assert FineTuneJobSpec.model_validate(jobs.create(FULL)["spec"]) == FineTuneJobSpec.model_validate(FULL)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_taken(jobs, path):
    found = [body for body in yaml.safe_load_all(path.read_text("utf-8")) if body["kind"] == "FineTuneJob"]
    for body in found:
        assert jobs.create(body["spec"], name=body["metadata"]["name"])


def test_there_are_examples():
    assert len(EXAMPLES) >= 4
