"""What is refused before anything is created, because pods and trainer of this release cannot do it."""

import pytest
from builders import a_job
from finetune_operator.manifests.supported import unsupported
from finetune_operator.planning.plan import Plan, plan
from finetune_operator.planning.profiles import HardwareProfile, Profiles

CHAT = {"model": {"name": "tiny-phi3"}, "task": "chat"}
MODEL = {"name": "all-MiniLM-L6-v2"}
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
    "going on from another job": {"model": {"name": "all-MiniLM-L6-v2", "fromJob": "first"}},
    "a job that begins suspended": {"suspend": True},
    "a job that is cancelled": {"cancel": True},
    "a time to live": {"ttlSecondsAfterFinished": 60},
    "a queue": {"queueName": "team"},
    "a chat": CHAT,
    "adapters of PEFT": {"technique": {"method": "peft", "peft": {"type": "ia3"}}},
    "DoRA": {"technique": {"method": "dora", "lora": {"variant": "rslora"}}},
    "an adapter that looks at data before it starts": {"technique": {"method": "lora", "lora": {"variant": "eva"}}},
    "stopping early": {"training": {"earlyStopping": {}}, "evaluation": {"everySteps": 5}},
    "metrics by name": {"evaluation": {"metrics": ["f1"], "best": "f1", "everySteps": 5}},
    "packed conversations": {**CHAT, "training": {"packing": True}},
    "ONNX": {"output": {"formats": ["onnx"]}},
    "packed text": {"model": {"name": "tiny-phi3"}, "task": "causal-lm", "training": {"packing": True}},
    "rows of a ConfigMap": {"dataset": {"source": {"configMap": {"name": "rows", "key": "rows.jsonl"}}}},
    "a model of the hub": {"model": {"name": "all-MiniLM-L6-v2", "source": {"hub": {}}}},
    "a model in an image": {"model": {**MODEL, "source": {"oci": {"image": "registry.example/model:1"}}}},
    "a model in object storage": {"model": {**MODEL, "source": {"s3": {"uri": "s3://bucket/model"}}}},
    "a model behind a token": {"model": {**MODEL, "tokenSecretRef": {"name": "hub", "key": "token"}}},
    "rows of the hub": {"dataset": {"source": {"hub": {"name": "stanfordnlp/imdb"}}}},
    "held-out rows of the web": {
        "dataset": {"source": ROWS, "validation": {"source": {"https": {"url": "https://example.org/rows"}}}}
    },
    "a copy on a claim": {"output": {"destinations": [ROWS], "formats": ["adapter", "merged"]}},
    "an image that is allowed": {"image": "registry.example/team/trainer:1"},
    "the image of the hardware": {"image": "registry.example/trainer:2", "hardware": {"profile": "processors"}},
    "hardware that the administrator offers": {"hardware": {"profile": "processors"}},
    "several nodes": {"hardware": {"profile": "processors", "nodes": 2}},
    "ZeRO": {
        "hardware": {"profile": "processors", "nodes": 2},
        "distribution": {"strategy": "deepspeed", "zeroStage": 3},
    },
    "a GPU": {"hardware": {"accelerator": "nvidia-l4"}},
    "a GPU with an image that can use it": {
        "hardware": {"accelerator": "amd-mi300x"},
        "image": "registry.example/team/rocm:1",
    },
}


@pytest.mark.parametrize("fields", RUN.values(), ids=RUN)
def test_what_this_release_runs_is_let_through(fields):
    assert refused(**fields) is None


REFUSED = {
    "an image that nobody allowed": ({"image": "registry.example/other:1"}, "spec.image: 'registry.example/other:1'"),
    "a GPU that the own image cannot use": ({"hardware": {"accelerator": "amd-mi300x"}}, "spec.hardware: amd-mi300x"),
    "the second of two copies": (
        {"output": {"destinations": [ROWS, {"mlflow": {"trackingUri": "https://mlflow.example"}}]}},
        "spec.output.destinations[1]",
    ),
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
    both = {"dataset": {"source": {"hub": {"name": "stanfordnlp/imdb"}}}, "image": "registry.example/other:1"}
    assert refused(**both).startswith("spec.image")
