"""The way down when memory runs out."""

import itertools

import pytest
from builders import a_job
from finetune_operator.api.v1alpha1.hardware import Hardware
from finetune_operator.planning import catalog
from finetune_operator.planning.machines import machines
from finetune_operator.planning.memory.workload import TRAINER
from finetune_operator.planning.profiles import Profiles
from finetune_operator.planning.search.first import Job, first
from finetune_operator.planning.search.ladder import aside, ladder, reshards


def rungs(accelerator="nvidia-a100-80gb", model="phi-3-mini", **fields):
    hardware = {"accelerator": accelerator} | fields.pop("hardware", {})
    spec = a_job(**({"task": "chat", "model": {"name": model}, "hardware": hardware} | fields))
    (machine,) = machines(Hardware.model_validate(hardware), Profiles())
    found = first(Job(spec=spec, shape=catalog.find(model), profiles=Profiles(), stack=TRAINER), machine)[1]
    return found, ladder(found)


CASES = {
    "one device": {},
    "an odd batch": {"training": {"batchSize": 15}},
    "copies": {"hardware": {"devicesPerNode": 2}},
    "a stage asked for": {
        "hardware": {"devicesPerNode": 2},
        "distribution": {"strategy": "deepspeed", "zeroStage": 2},
    },
    "sharded": {"technique": {"method": "full"}, "model": "phi-3-medium"},
    "processors": {"accelerator": "cpu", "model": "tiny-phi3"},
}


@pytest.mark.parametrize("fields", CASES.values(), ids=CASES)
def test_each_step_needs_less_at_the_same_effective_batch(fields):
    found, down = rungs(**fields)
    assert down
    sizes = [found.estimate.peak, *(rung.predicted_bytes for rung in down)]
    assert all(more > less for more, less in itertools.pairwise(sizes))
    batch = found.question.spec.training.batch_size
    for rung in down:
        work = rung.workload
        assert work.micro_batch_size * work.accumulation * rung.question.sharding.devices == batch


def words(**fields) -> str:
    return " / ".join(rung.change for rung in rungs(**fields)[1])


def test_micro_batch_comes_first_then_checkpointing_then_quantization():
    said = words(training={"batchSize": 4, "sequenceLength": 256})
    assert said.startswith("microBatchSize")
    assert said.endswith("gradientCheckpointing / method qlora")


def test_several_devices_shard_more_and_then_offload():
    said = words(hardware={"devicesPerNode": 2}, technique={"method": "full"}, training={"batchSize": 2})
    assert "ZeRO stage 3" in said
    assert said.endswith("offload of the optimizer / offload of parameters")


STAYS = {
    "a method asked for is not quantized": ({"technique": {"method": "lora"}}, "method"),
    "quantization that was ruled out": (
        {"technique": {"method": "auto", "quantization": {"type": "none"}}},
        "method",
    ),
    "a strategy asked for": ({"hardware": {"devicesPerNode": 2}, "distribution": {"strategy": "ddp"}}, "ZeRO"),
    "processors do not offload": ({"accelerator": "cpu", "model": "tiny-phi3"}, "offload"),
    "checkpointing that is on already": ({"training": {"gradientCheckpointing": True}}, "gradientCheckpointing"),
    "a stage that was asked for": (
        {
            "hardware": {"devicesPerNode": 2},
            "distribution": {"strategy": "deepspeed", "zeroStage": 2, "offload": {"optimizer": "none"}},
        },
        "ZeRO",
    ),
}


@pytest.mark.parametrize(("fields", "never"), STAYS.values(), ids=STAYS)
def test_what_the_user_decided_stays(fields, never):
    assert never not in words(**fields)


def test_lora_and_dora_step_down_to_their_quantized_forms():
    assert words().endswith("method qlora")
    quality = {"method": "auto", "goals": ["quality"], "lora": {"rank": 8}}
    assert words(technique=quality).endswith("method qdora")


def beside(**fields) -> str:
    return " / ".join(rung.change for rung in aside(rungs(**fields)[0]))


STAY_READABLE = {
    "nothing but quantization beside copies": ({"hardware": {"devicesPerNode": 2}}, "method qlora"),
    "nothing beside copies of a method asked for": (
        {"hardware": {"devicesPerNode": 2}, "technique": {"method": "lora"}},
        "",
    ),
    "the optimizer's place at the same stage": (
        {"hardware": {"devicesPerNode": 2}, "technique": {"method": "full"}},
        "offload of the optimizer",
    ),
    "nothing where the ladder itself leaves checkpoints readable": (
        {"hardware": {"devicesPerNode": 2}, "distribution": {"strategy": "deepspeed", "zeroStage": 2}},
        "",
    ),
    "nothing on one device": ({}, ""),
}


@pytest.mark.parametrize(("fields", "want"), STAY_READABLE.values(), ids=STAY_READABLE)
def test_beside_the_ladder_is_what_leaves_a_checkpoint_readable(fields, want):
    found, _down = rungs(**fields)
    assert beside(**fields) == want
    assert not any(reshards(found.question.sharding, rung.question.sharding) for rung in aside(found))


def test_steps_beside_the_ladder_go_on_from_its_last_rung_that_leaves_a_checkpoint_readable():
    found, down = rungs(hardware={"devicesPerNode": 2})
    (quantized,) = aside(found)
    above = [rung for rung in down if not reshards(found.question.sharding, rung.question.sharding)]
    assert quantized.predicted_bytes < above[-1].predicted_bytes
    assert quantized.workload.micro_batch_size == above[-1].workload.micro_batch_size
    assert quantized.workload.gradient_checkpointing


def test_a_stage_that_alone_would_not_help_is_told_with_what_helps():
    said = words(accelerator="nvidia-a100-40gb", hardware={"devicesPerNode": 2}, technique={"method": "full"})
    assert said.endswith("ZeRO stage 3, offload of the optimizer / offload of parameters")


def test_quantized_weights_are_not_divided():
    _found, down = rungs(hardware={"devicesPerNode": 2})
    assert "ZeRO stage 3" in [rung.change for rung in down]
    assert all(rung.question.sharding.stage < 3 for rung in down if rung.change.startswith("method"))
    whole = {"hardware": {"devicesPerNode": 2}, "distribution": {"strategy": "deepspeed", "zeroStage": 3}}
    assert "method" not in words(**whole)
