"""What a job may run on, and what that costs."""

import pytest
from finetune_operator.api.v1alpha1.hardware import Hardware
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.planning import catalog
from finetune_operator.planning.machines import DEVICE_SHARE, Machine, machines
from finetune_operator.planning.profiles import GIB, Profiles
from finetune_operator.planning.refusal import Refusal

OFFERED = Profiles.model_validate(
    {
        "hardware": {
            "small": {"accelerator": "nvidia-l4", "devicesPerNode": 3, "nodes": 2, "pricePerHour": 1.5},
            "azure": {"accelerator": "nvidia-t4", "instanceType": "Standard_NC4as_T4_v3"},
            "processors": {"accelerator": "cpu", "memoryBytes": 64 * GIB, "cpus": 16},
            "plain-processors": {"accelerator": "cpu"},
            "board": {"accelerator": "fpga"},
            "misspelt": {"accelerator": "nvidia-t5"},
            "no-such-machine": {"accelerator": "nvidia-t4", "instanceType": "Standard_None"},
        },
        "prices": {"Standard_NC4as_T4_v3": 9.0},
    }
)


def one(profiles=None, **words) -> Machine:
    found = machines(Hardware.model_validate(words), profiles or Profiles())
    assert not isinstance(found, Refusal), found
    (machine,) = found
    return machine


def refused(**words) -> Refusal:
    found = machines(Hardware.model_validate(words), OFFERED)
    assert isinstance(found, Refusal)
    return found


def test_without_a_word_it_is_the_processors_of_one_pod():
    machine = one()
    assert machine.is_cpu
    assert (machine.device_counts, machine.node_counts) == ((1,), (1,))
    assert machine.device_bytes == machine.host_bytes == 16 * GIB
    assert machine.price(1, 1, GIB) is None


def test_an_accelerator_may_be_filled_to_a_share():
    machine = one(accelerator="nvidia-l4")
    assert machine.device_bytes == int(DEVICE_SHARE * catalog.find_accelerator("nvidia-l4").memory_bytes)
    assert machine.device_counts == (1, 2, 4, 8)


def test_devices_and_nodes_are_those_asked_for():
    machine = one(accelerator="nvidia-l4", devicesPerNode=16, nodes=3)
    assert (machine.device_counts, machine.node_counts) == ((16,), (3,))


def test_a_profile_bounds_what_a_job_gets():
    machine = one(OFFERED, profile="small")
    assert (machine.device_counts, machine.node_counts) == ((1, 2, 3), (1, 2))
    assert machine.profile == "small"


@pytest.mark.parametrize("more", [{"devicesPerNode": 4}, {"nodes": 3}])
def test_more_than_a_profile_offers_leaves_nothing_to_try(more):
    machine = one(OFFERED, profile="small", **more)
    assert () in (machine.device_counts, machine.node_counts)


def test_a_profile_of_processors_has_the_memory_that_it_says():
    machine = one(OFFERED, profile="processors")
    assert (machine.device_bytes, machine.cpus) == (64 * GIB, 16)
    assert one(OFFERED, profile="plain-processors").device_bytes == OFFERED.cpu.memory_bytes


def test_an_instance_type_says_what_it_holds():
    machine = one(instanceType="Standard_NC24ads_A100_v4")
    assert machine.accelerator.key == "nvidia-a100-80gb"
    assert machine.host_bytes == machine.instance.memory_bytes
    assert machine.price(1, 2, GIB) == pytest.approx(2 * machine.instance.price_usd_per_hour)


def test_an_instance_type_without_devices_is_processors():
    cpu_only = next(one for one in catalog.instances() if one.accelerator == "cpu")
    machine = one(instanceType=cpu_only.name)
    assert machine.is_cpu
    assert machine.device_bytes == cpu_only.memory_bytes


def test_the_price_of_a_profile_comes_first_then_the_administrators_then_the_catalogs():
    assert one(OFFERED, profile="small").price(1, 2, GIB) == pytest.approx(3.0)
    assert one(OFFERED, profile="azure").price(1, 1, GIB) == pytest.approx(9.0)
    catalogs = catalog.find_instance("Standard_NC4as_T4_v3").price_usd_per_hour
    assert one(Profiles(), instanceType="Standard_NC4as_T4_v3").price(1, 1, GIB) == pytest.approx(catalogs)


def test_a_node_has_to_hold_the_pod_as_well():
    machine = one(accelerator="nvidia-t4")
    assert machine.price(1, 1, 8 * GIB) < machine.price(1, 1, 60 * GIB)
    assert machine.price(1, 1, 10_000 * GIB) is None


def test_auto_is_all_that_the_administrator_offers_and_that_trains():
    found = machines(Hardware(accelerator="auto"), OFFERED)
    assert [machine.name for machine in found] == ["small", "azure", "processors", "plain-processors"]


def test_auto_without_offers_is_every_gpu_of_the_catalog():
    found = machines(Hardware(accelerator="auto"), Profiles())
    gpus = [one for one in catalog.accelerators() if one.vendor in {"nvidia", "amd"}]
    assert len(found) == len(gpus) >= 20


UNKNOWN = {
    "an accelerator that nobody makes": ({"accelerator": "nvidia-l5"}, "nvidia-l4"),
    "an accelerator like no other": ({"accelerator": "zzzz"}, "catalog accelerators"),
    "an instance type that nobody rents out": ({"instanceType": "Standard_NC24ads_A100_v5"}, "NC24ads_A100_v4"),
    "an instance type like no other": ({"instanceType": "qqqq"}, "catalog instances"),
    "a profile that is not offered": ({"profile": "large"}, "small, azure"),
    "a profile with an unknown accelerator": ({"profile": "misspelt"}, "the administrator has to correct it"),
    "a profile with an unknown instance type": ({"profile": "no-such-machine"}, "Standard_None"),
}


@pytest.mark.parametrize(("words", "way_out"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_not_there_is_refused_with_what_is(words, way_out):
    refusal = refused(**words)
    assert refusal.reason is Reason.UNKNOWN_HARDWARE
    assert way_out in refusal.message


def test_where_no_profile_is_offered_the_refusal_says_so():
    found = machines(Hardware(profile="large"), Profiles())
    assert "none; ask the administrator" in found.message
