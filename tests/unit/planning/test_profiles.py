"""What an administrator may offer."""

import pytest
from builders import a_job
from finetune_operator.planning.profiles import Profiles, misnamed
from pydantic import ValidationError

IMAGES = {
    "one image": ("registry.example/trainer:1", True),
    "another tag of it": ("registry.example/trainer:2", False),
    "any tag": ("registry.example/any:nightly", True),
    "no tag": ("registry.example/any", False),
    "an empty tag": ("registry.example/any:", False),
    "a digest where tags are allowed": ("registry.example/any@sha256:00", False),
    "any digest": ("registry.example/fixed@sha256:00", True),
    "a tag where digests are allowed": ("registry.example/fixed:1", False),
    "all below": ("registry.example/team/deep/trainer:1", True),
    "what only begins alike": ("registry.example/teams/trainer:1", False),
    "a registry named as a repository": ("any:5000/evil:1", False),
    "the trainer's own": ("finetune-trainer:dev", True),
    "that of the hardware": ("registry.example/rocm:7", True),
}

ALLOWED = Profiles.model_validate(
    {
        "hardware": {"amd": {"accelerator": "amd-mi300x", "image": "registry.example/rocm:7"}},
        "allowedImages": [
            "registry.example/trainer:1",
            "registry.example/any:*",
            "registry.example/fixed@*",
            "registry.example/team/*",
            "any:*",
        ],
    }
)


@pytest.mark.parametrize(("image", "want"), IMAGES.values(), ids=IMAGES)
def test_images_are_allowed_by_name_or_pattern(image, want):
    assert ALLOWED.allows(image) is want


def test_nothing_but_its_own_images_is_allowed_by_default():
    assert not Profiles().allows("registry.example/trainer:1")
    assert Profiles().allows("finetune-trainer:dev")


def test_a_whole_file_is_read():
    profiles = Profiles.model_validate(
        {
            "hardware": {
                "big": {
                    "accelerator": "nvidia-h100",
                    "instanceType": "Standard_ND96isr_H100_v5",
                    "devicesPerNode": 8,
                    "nodes": 4,
                    "memoryBytes": 10**12,
                    "cpus": 90,
                    "nodeSelector": {"example.com/pool": "training", "gpu": ""},
                    "tolerations": [
                        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
                        {"key": "team", "value": "ml"},
                        {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
                    ],
                    "runtimeClassName": "nvidia",
                    "resource": "nvidia.com/gpu",
                    "pricePerHour": 88.5,
                }
            },
            "defaultStorage": {"template": {"size": "100Gi"}},
            "prices": {"Standard_NC24ads_A100_v4": 3.1, "g6.xlarge": 0},
        }
    )
    big = profiles.hardware["big"]
    assert (big.devices_per_node, big.nodes, big.cpus, big.tolerations[1].operator) == (8, 4, 90, "Equal")
    assert profiles.default_storage.template.size == "100Gi"
    assert profiles.prices["Standard_NC24ads_A100_v4"] == 3.1


def offering(**fields):
    return {"hardware": {"big": {"accelerator": "nvidia-l4"} | fields}}


REFUSED = {
    "hardware without an accelerator": ({"hardware": {"big": {}}}, "hardware.big.accelerator"),
    "a name that no job can write": ({"hardware": {"Big": {"accelerator": "cpu"}}}, "hardware.Big"),
    "no devices": (offering(devicesPerNode=0), "hardware.big.devicesPerNode"),
    "a label that is none": (offering(nodeSelector={"a b": "c"}), "hardware.big.nodeSelector.a b"),
    "a resource without a domain": (offering(resource="gpu"), "hardware.big.resource"),
    "a resource of processors": (offering(accelerator="cpu", resource="nvidia.com/gpu"), "hardware.big"),
    "a price below nothing": (offering(pricePerHour=-1), "hardware.big.pricePerHour"),
    "a price without end": ({"prices": {"g6.xlarge": float("inf")}}, "prices.g6.xlarge"),
    "a toleration of an effect that there is not": (
        offering(tolerations=[{"key": "a", "effect": "Never"}]),
        "hardware.big.tolerations.0.effect",
    ),
    "a toleration of any value of one value": (
        offering(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
        "hardware.big.tolerations.0",
    ),
    "a toleration of no taint": (offering(tolerations=[{"value": "b"}]), "hardware.big.tolerations.0"),
    "a toleration that ends without cause": (
        offering(tolerations=[{"key": "a", "tolerationSeconds": 5}]),
        "hardware.big.tolerations.0",
    ),
    "a star in the middle of an image": ({"allowedImages": ["registry.example/*/trainer"]}, "allowedImages.0"),
    "a star that would allow other repositories": ({"allowedImages": ["registry.example/team*"]}, "allowedImages.0"),
    "every image": ({"allowedImages": ["*"]}, "allowedImages.0"),
    "two storages": ({"defaultStorage": {"template": {}, "ephemeral": {}}}, "defaultStorage"),
    "no storage": ({"defaultStorage": {}}, "defaultStorage"),
}


@pytest.mark.parametrize(("profiles", "want"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_with_its_place(profiles, want):
    with pytest.raises(ValidationError) as refused:
        Profiles.model_validate(profiles)
    (first, *_others) = refused.value.errors()
    assert ".".join(str(part) for part in first["loc"] if part != "[key]") == want


def test_names_that_the_catalog_does_not_have_are_told_with_their_place():
    hardware = {"a": {"accelerator": "nvidia-l44"}, "b": {"accelerator": "nvidia-l4", "instanceType": "zzzzzzzzzz"}}
    offered = Profiles.model_validate({"hardware": hardware, "prices": {"g6.xlarge": 1}})
    first, second = misnamed(offered)
    assert first.startswith("hardware.a.accelerator: 'nvidia-l44' is not in the catalog; did you mean nvidia-l4")
    assert second == "hardware.b.instanceType: 'zzzzzzzzzz' is not in the catalog"
    assert list(misnamed(Profiles())) == []


def test_no_default_storage_is_no_storage():
    assert Profiles.model_validate({"defaultStorage": None}).default_storage is None


def test_a_job_without_storage_gets_the_administrators():
    ours = {"template": {"size": "50Gi"}}
    offered = Profiles.model_validate({"defaultStorage": ours})
    storage = offered.completed(a_job()).checkpoints.storage
    assert storage.template.size == "50Gi"


def test_a_job_keeps_its_own_storage():
    offered = Profiles.model_validate({"defaultStorage": {"template": {"size": "50Gi"}}})
    job = a_job(checkpoints={"storage": {"ephemeral": {}}})
    assert offered.completed(job) == job
    assert Profiles().completed(a_job()) == a_job()
