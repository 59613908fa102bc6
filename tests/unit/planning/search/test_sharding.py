"""In which order devices are tried, and how they share a job."""

import pytest
from finetune_operator.api.v1alpha1.hardware import Distribution, Hardware
from finetune_operator.planning.machines import machines
from finetune_operator.planning.profiles import Profiles
from finetune_operator.planning.search.sharding import ways


def found(distribution=None, *, aggregate=False, **hardware):
    (machine,) = machines(Hardware.model_validate({"accelerator": "nvidia-l4"} | hardware), Profiles())
    distribution = Distribution.model_validate(distribution or {})
    return [
        (
            per_node,
            sharding.devices,
            sharding.strategy.value,
            sharding.stage,
            sharding.offload_optimizer + sharding.offload_parameters,
        )
        for per_node, sharding in ways(machine, distribution, aggregate=aggregate)
    ]


def test_one_device_comes_first_and_offloading_last():
    every = found()
    assert every[0] == (1, 1, "none", 0, 0)
    assert every[1:4] == [(2, 2, "ddp", 0, 0), (2, 2, "deepspeed", 2, 0), (2, 2, "deepspeed", 3, 0)]
    assert [way[4] for way in every] == sorted(way[4] for way in every)


DISTRIBUTIONS = {
    "none is one device": ({"strategy": "none"}, [(1, 1, "none", 0, 0)]),
    "copies": ({"strategy": "ddp"}, [(1, 1, "ddp", 0, 0), (2, 2, "ddp", 0, 0)]),
    "a stage": ({"strategy": "deepspeed", "zeroStage": 1}, [(1, 1, "deepspeed", 1, 0), (2, 2, "deepspeed", 1, 0)]),
    "fsdp": ({"strategy": "fsdp"}, [(2, 2, "fsdp", 3, 0), (4, 4, "fsdp", 3, 0)]),
    "offloading asked for": (
        {"strategy": "deepspeed", "offload": {"optimizer": "cpu", "parameters": "cpu"}},
        [(1, 1, "deepspeed", 3, 2), (2, 2, "deepspeed", 3, 2)],
    ),
}


@pytest.mark.parametrize(("distribution", "want"), DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_what_was_asked_for_is_kept(distribution, want):
    assert found(distribution)[: len(want)] == want


OFFLOADS = {
    "stage 0 has nothing to offload": ({"strategy": "deepspeed", "zeroStage": 0}, {0}),
    "stage 2 offloads the optimizer": ({"strategy": "deepspeed", "zeroStage": 2}, {0, 1}),
    "stage 3 offloads parameters too": ({"strategy": "deepspeed", "zeroStage": 3}, {0, 1, 2}),
    "fsdp offloads both together": ({"strategy": "fsdp"}, {0, 2}),
    "copies offload nothing": ({"strategy": "ddp"}, {0}),
}


@pytest.mark.parametrize(("distribution", "want"), OFFLOADS.values(), ids=OFFLOADS)
def test_what_can_be_offloaded_depends_on_the_strategy(distribution, want):
    assert {way[4] for way in found(distribution)} == want


def test_processors_have_nothing_to_offload_from():
    assert found(accelerator="cpu") == [(1, 1, "none", 0, 0)]


def test_all_memory_means_all_devices_and_no_copies():
    every = found(aggregate=True)
    assert every[0] == (8, 8, "deepspeed", 2, 0)
    assert not any(way[2] == "ddp" for way in every)
    assert [way for way in every if way[2] == "none"] == [(1, 1, "none", 0, 0)]


def test_all_memory_of_one_device_is_that_device():
    assert found(aggregate=True, devicesPerNode=1)[0] == (1, 1, "none", 0, 0)
    assert found(aggregate=True, accelerator="cpu") == [(1, 1, "none", 0, 0)]


def test_nodes_multiply_devices():
    assert found(nodes=2, devicesPerNode=4)[0] == (4, 8, "ddp", 0, 0)
