"""What is offered in place of a job that does not fit."""

import re

import pytest
import yaml
from builders import a_job
from finetune_operator.planning.plan import Plan, plan
from finetune_operator.planning.profiles import Profiles
from finetune_operator.planning.refusal import Refusal

OFFERED = Profiles.model_validate(
    {
        "hardware": {
            "t4": {"accelerator": "nvidia-t4", "pricePerHour": 0.5},
            "a100": {"accelerator": "nvidia-a100-80gb", "devicesPerNode": 4, "pricePerHour": 4},
        }
    }
)

JOBS = {
    "full on one device": {
        "technique": {"method": "full"},
        "hardware": {"accelerator": "nvidia-l4", "devicesPerNode": 1},
        "distribution": {"strategy": "none"},
    },
    "lora without quantization": {
        "model": {"name": "llama-3.1-70b"},
        "technique": {"method": "lora"},
        "hardware": {"accelerator": "nvidia-l4", "devicesPerNode": 1},
        "distribution": {"strategy": "none"},
    },
    "copies": {
        "technique": {"method": "full"},
        "hardware": {"accelerator": "nvidia-l4", "devicesPerNode": 4},
        "distribution": {"strategy": "ddp"},
    },
    "on processors": {"technique": {"method": "full"}},
    "another adapter": {
        "model": {"name": "llama-3.1-70b"},
        "technique": {"method": "peft", "peft": {"type": "vera"}},
        "hardware": {"accelerator": "nvidia-t4", "devicesPerNode": 1},
        "distribution": {"strategy": "none"},
    },
}


def job(fields):
    return a_job(**({"task": "chat", "model": {"name": "phi-3-medium"}} | fields))


def refused(fields, profiles=None) -> Refusal:
    answer = plan(job(fields), profiles or Profiles())
    assert isinstance(answer, Refusal), answer
    return answer


def changed(fields, change: str):
    """Do what an alternative says."""
    words, _, without = change.partition(" without ")
    (path, value) = next(iter(yaml.safe_load(words).items()))
    result = {name: part for name, part in fields.items() if name != without}
    if path == "technique.method":
        return result | {"technique": {"method": value}}
    return result | {path: value}


@pytest.mark.parametrize("fields", JOBS.values(), ids=JOBS)
def test_every_alternative_fits_when_it_is_taken(fields):
    offered = refused(fields).alternatives
    assert 1 <= len(offered) <= 3
    for alternative in offered:
        answer = plan(job(changed(fields, alternative.change)), Profiles())
        assert isinstance(answer, Plan), (alternative, answer)
        assert answer.memory.peak <= alternative.limit_bytes


def test_what_needs_no_other_hardware_comes_first_and_then_the_cheapest():
    offered = refused(JOBS["full on one device"]).alternatives
    assert [one.stays for one in offered] == sorted((one.stays for one in offered), reverse=True)
    prices = [one.price_per_hour for one in offered if not one.stays]
    assert prices == sorted(prices)


def test_profiles_of_the_administrator_are_named_as_such():
    fields = JOBS["full on one device"] | {"hardware": {"profile": "t4"}}
    offered = refused(fields, OFFERED).alternatives
    assert any(one.change.startswith("hardware: {profile: a100") for one in offered)
    assert all("accelerator:" not in one.change for one in offered)


def test_quantization_that_was_ruled_out_is_not_offered():
    fields = {
        "model": {"name": "llama-3.1-70b"},
        "technique": {"method": "auto", "quantization": {"type": "none"}},
        "hardware": {"accelerator": "nvidia-t4", "devicesPerNode": 1},
        "distribution": {"strategy": "none"},
    }
    assert not any(re.search("qlora", one.change) for one in refused(fields).alternatives)


def test_the_message_names_them():
    answer = refused(JOBS["on processors"])
    assert all(one.change in answer.message for one in answer.alternatives)


def test_hardware_that_contradicts_the_job_is_not_offered():
    fields = JOBS["full on one device"] | {"training": {"precision": "bf16"}}
    assert not any("nvidia-t4" in one.change or "v100" in one.change for one in refused(fields).alternatives)
