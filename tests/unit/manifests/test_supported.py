"""What is refused before anything is created, because pods and trainer of this release cannot do it."""

import dataclasses

import pytest
from builders import a_job
from finetune_operator.manifests.supported import unsupported
from finetune_operator.planning.plan import Plan, plan
from finetune_operator.planning.profiles import HardwareProfile, Profiles

CHAT = {"model": {"name": "tiny-phi3"}, "task": "chat"}
ROWS = {"claim": {"name": "samples"}}
OFFERED = Profiles(
    hardware={"processors": HardwareProfile(accelerator="cpu", nodes=2, image="registry.example/trainer:2")},
    allowed_images=("registry.example/team/*",),
)


def refused(profiles=None, **fields):
    """What is said of a job that can be planned."""
    spec, profiles = a_job(**fields), profiles or OFFERED
    planned = plan(spec, profiles)
    assert isinstance(planned, Plan), planned
    return unsupported(spec, planned, profiles)


RUN = {
    "the smallest job": {},
    "a chat": CHAT,
    "adapters of PEFT": {"technique": {"method": "peft", "peft": {"type": "ia3"}}},
    "DoRA": {"technique": {"method": "dora", "lora": {"variant": "rslora"}}},
    "packed text": {"model": {"name": "tiny-phi3"}, "task": "causal-lm", "training": {"packing": True}},
    "rows of a ConfigMap": {"dataset": {"source": {"configMap": {"name": "rows", "key": "rows.jsonl"}}}},
    "a model of the hub": {"model": {"name": "all-MiniLM-L6-v2", "source": {"hub": {}}}},
    "a copy on a claim": {"output": {"destinations": [ROWS], "formats": ["adapter", "merged"]}},
    "an image that is allowed": {"image": "registry.example/team/trainer:1"},
    "the image of the hardware": {"image": "registry.example/trainer:2", "hardware": {"profile": "processors"}},
    "hardware that the administrator offers": {"hardware": {"profile": "processors"}},
}


@pytest.mark.parametrize("fields", RUN.values(), ids=RUN)
def test_what_this_release_runs_is_let_through(fields):
    assert refused(**fields) is None


REFUSED = {
    "an image that nobody allowed": ({"image": "registry.example/other:1"}, "spec.image: 'registry.example/other:1'"),
    "a GPU": ({"hardware": {"accelerator": "nvidia-l4"}}, "spec.hardware: nvidia-l4"),
    "several nodes": (
        {"hardware": {"profile": "processors", "nodes": 2}},
        "spec.distribution: ddp on 2 devices",
    ),
    "an adapter that looks at data before it starts": (
        {"technique": {"method": "lora", "lora": {"variant": "eva"}}},
        "spec.technique.lora.variant: eva",
    ),
    "stopping early": (
        {"training": {"earlyStopping": {}}, "evaluation": {"everySteps": 5}},
        "spec.training.earlyStopping",
    ),
    "metrics by name": ({"evaluation": {"metrics": ["f1"]}}, "spec.evaluation.metrics"),
    "packed conversations": ({**CHAT, "training": {"packing": True}}, "spec.training.packing with task chat"),
    "going on from another job": ({"model": {"name": "all-MiniLM-L6-v2", "fromJob": "first"}}, "spec.model.fromJob"),
    "a model in an image": (
        {"model": {"name": "all-MiniLM-L6-v2", "source": {"oci": {"image": "registry.example/model:1"}}}},
        "spec.model.source: oci",
    ),
    "a model in object storage": (
        {"model": {"name": "all-MiniLM-L6-v2", "source": {"s3": {"uri": "s3://bucket/model"}}}},
        "spec.model.source: oci and s3",
    ),
    "a model behind a token": (
        {"model": {"name": "all-MiniLM-L6-v2", "tokenSecretRef": {"name": "hub", "key": "token"}}},
        "spec.model.tokenSecretRef",
    ),
    "rows of the hub": ({"dataset": {"source": {"hub": {"name": "stanfordnlp/imdb"}}}}, "spec.dataset.source"),
    "held-out rows of the web": (
        {"dataset": {"source": ROWS, "validation": {"source": {"https": {"url": "https://example.org/rows"}}}}},
        "spec.dataset.validation.source",
    ),
    "ONNX": ({"output": {"formats": ["onnx"]}}, "spec.output.formats: onnx"),
    "the second of two copies": (
        {"output": {"destinations": [ROWS, {"mlflow": {"trackingUri": "https://mlflow.example"}}]}},
        "spec.output.destinations[1]",
    ),
    "a suspended job": ({"suspend": True}, "spec.suspend"),
    "a cancelled job": ({"cancel": True}, "spec.cancel"),
    "a job that goes by itself": ({"ttlSecondsAfterFinished": 0}, "spec.ttlSecondsAfterFinished"),
    "a job in a queue": ({"queueName": "team"}, "spec.queueName"),
}


@pytest.mark.parametrize(("fields", "want"), REFUSED.values(), ids=REFUSED)
def test_what_it_does_not_run_is_named_with_its_field_and_the_way_out(fields, want):
    message = refused(**fields)
    assert message.startswith(want)
    assert any(way_out in message for way_out in ("; set ", "; remove ", "; take ", "; name ", ": only claim"))


def test_allowed_images_are_named():
    assert "(registry.example/team/*)" in refused(image="registry.example/other:1")
    assert "none beside the administrator's own" in refused(Profiles(), image="registry.example/other:1")


def test_the_first_thing_is_named():
    both = {"suspend": True, "image": "registry.example/other:1"}
    assert refused(**both).startswith("spec.image")


def test_several_devices_are_refused_however_they_share():
    spec = a_job()
    alone = plan(spec, OFFERED)
    shared = dataclasses.replace(alone, sharding=dataclasses.replace(alone.sharding, devices=2))
    assert unsupported(spec, shared, OFFERED).startswith("spec.distribution: none on 2 devices")
