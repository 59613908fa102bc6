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
    "one device of an instance type": {
        "technique": {"method": "full"},
        "hardware": {"instanceType": "p4d.24xlarge", "devicesPerNode": 1},
        "distribution": {"strategy": "none"},
    },
    "on processors": {"technique": {"method": "full"}},
    "steps that were fixed": {
        "model": {"name": "llama-3.1-8b"},
        "technique": {"method": "qlora"},
        "hardware": {"accelerator": "nvidia-t4", "devicesPerNode": 1},
        "distribution": {"strategy": "none"},
        "training": {"microBatchSize": 16, "batchSize": 32, "gradientCheckpointing": True, "sequenceLength": 2048},
    },
    "activations that are kept": {
        "model": {"name": "llama-3.1-8b"},
        "technique": {"method": "qlora"},
        "hardware": {"accelerator": "nvidia-l4", "devicesPerNode": 1},
        "distribution": {"strategy": "none"},
        "training": {"gradientCheckpointing": False, "sequenceLength": 4096},
    },
    "a large model on processors": {"model": {"name": "llama-3.1-70b"}, "technique": {"method": "dora"}},
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
    result = {name: part for name, part in fields.items() if name != without}
    for path, value in yaml.safe_load(f"{{{words}}}").items():
        group, _, name = path.partition(".")
        if group == "technique":
            result["technique"] = {"method": value}
        else:
            result[group] = fields.get(group, {}) | {name: value} if name else value
    return result


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


def test_steps_that_were_fixed_are_given_back_to_the_plan():
    assert "training.microBatchSize: 1" in said(JOBS["steps that were fixed"])
    assert "training.gradientCheckpointing: true" in said(JOBS["activations that are kept"])


def test_where_no_single_change_is_enough_two_of_them_are_offered():
    small = Profiles.model_validate({"hardware": {"one": {"accelerator": "nvidia-a100-80gb"}}})
    fields = {"model": {"name": "llama-3.1-70b"}, "technique": {"method": "lora"}}
    (only,) = refused(fields, small).alternatives
    assert only.change == "technique.method: qlora, hardware: {profile: one}"


STARTS = {
    "pissa does not start from quantized weights": ("lora", "pissa", "qlora"),
    "loftq makes up for quantization": ("qlora", "loftq", "lora"),
}


@pytest.mark.parametrize(("method", "variant", "never"), STARTS.values(), ids=STARTS)
def test_a_start_that_the_other_technique_cannot_have_is_not_offered(method, variant, never):
    fields = {"model": {"name": "llama-3.1-70b"}, "technique": {"method": method, "lora": {"variant": variant}}}
    assert f"technique.method: {never}" not in said(fields)


def said(fields) -> str:
    return " / ".join(one.change for one in refused(fields).alternatives)


def test_an_instance_type_is_named_as_such():
    offered = refused(JOBS["one device of an instance type"]).alternatives
    assert "hardware: {instanceType: p4d.24xlarge, devicesPerNode: 8} without distribution" in {
        one.change for one in offered
    }


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
