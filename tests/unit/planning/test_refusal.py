"""What the planner refuses, and with which way out."""

import pytest
from builders import a_job, chatting
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.planning.memory.workload import Stack
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import GIB, CpuProfile, Profiles
from finetune_operator.planning.refusal import Refusal


def refused(profiles=None, **fields) -> Refusal:
    answer = plan(a_job(**fields), profiles or Profiles())
    assert isinstance(answer, Refusal), answer
    return answer


def test_an_unknown_model_is_refused_with_the_nearest_names():
    answer = refused(model={"name": "microsoft/Phi-3-mini"})
    assert answer.reason is Reason.UNKNOWN_MODEL
    assert "microsoft/Phi-3-mini-4k-instruct" in answer.message


def test_a_few_bytes_too_little_are_told_as_a_mebibyte():
    training = {"microBatchSize": 4, "batchSize": 4}
    tight = Profiles(cpu=CpuProfile(memory_bytes=int(0.9 * GIB)))
    need = refused(tight, task="text-classification", training=training).least.peak
    offered = Profiles(cpu=CpuProfile(memory_bytes=need - 1))
    assert ": 1 MiB too little" in refused(offered, task="text-classification", training=training).message


def test_too_large_a_method_is_refused_with_what_would_fit():
    answer = refused(model={"name": "phi-3-mini"}, task="chat", technique={"method": "full"})
    assert answer.reason is Reason.DOES_NOT_FIT
    assert "method full needs" in answer.message
    assert "too little; what fits: technique.method: qlora" in answer.message
    assert answer.least.peak > answer.limit_bytes


def test_a_refusal_for_memory_says_how_the_job_would_be_run():
    job = chatting("nvidia-t4", training={"batchSize": 8, "microBatchSize": 2}, technique={"method": "full"})
    answer = refused(**job, distribution={"strategy": "ddp"})
    assert (answer.nearest.accelerator, answer.nearest.devices_per_node) == ("nvidia-t4", 1)
    work = answer.nearest.workload
    assert (work.method, work.micro_batch_size, work.accumulation, work.precision) == ("full", 2, 4, "fp16")


DIVIDED = {
    "by PyTorch": {"technique": {"method": "qlora"}, "distribution": {"strategy": "fsdp"}},
    "by DeepSpeed": {"technique": {"method": "qlora"}, "distribution": {"strategy": "deepspeed", "zeroStage": 3}},
}


@pytest.mark.parametrize("fields", DIVIDED.values(), ids=DIVIDED)
def test_dividing_quantized_weights_is_refused_with_what_it_would_need(fields):
    job = chatting("nvidia-rtx-3090", "llama-2-70b", hardware={"devicesPerNode": 2})
    job |= {"training": {"sequenceLength": 512, "microBatchSize": 1, "gradientCheckpointing": True, "batchSize": 2}}
    whole = {"optimizer": "none", "parameters": "none"}
    answer = refused(**job, **fields | {"distribution": fields["distribution"] | {"offload": whole}})
    assert answer.reason is Reason.UNSUPPORTED
    assert 18 * GIB < answer.least.peak < 30 * GIB
    assert answer.nearest.workload.sharding.devices == 2


@pytest.mark.parametrize("fields", DIVIDED.values(), ids=DIVIDED)
def test_software_that_divides_quantized_weights_is_planned(fields):
    job = a_job(**chatting("nvidia-a100-80gb", "llama-2-70b", hardware={"devicesPerNode": 2}), **fields)
    answer = plan(job, Profiles(), stack=Stack(shards_quantized=True))
    assert answer.sharding.devices == 2
    assert any("does not divide quantized weights" in warning for warning in answer.warnings)


def test_goals_that_lead_to_weights_that_cannot_be_divided_are_told():
    two = {"hardware": {"accelerator": "nvidia-t4", "devicesPerNode": 2}, "distribution": {"strategy": "fsdp"}}
    answer = refused(model={"name": "qwen2.5-72b"}, task="chat", technique={"goals": ["reduce-memory"]}, **two)
    assert "the quantized weights of qlora, which spec.technique.goals lead to" in answer.message


def test_other_contradictions_are_refused_without_numbers():
    assert refused(**chatting(), technique={"method": "lora", "lora": {"targetModules": ["nonsense"]}}).least is None


def test_more_than_the_node_holds_beside_its_devices_is_refused_with_that():
    node = {"accelerator": "nvidia-t4", "memoryBytes": 20 * GIB}
    profiles = Profiles.model_validate({"hardware": {"small": node}})
    answer = refused(profiles, **chatting() | {"hardware": {"profile": "small"}}, technique={"method": "full"})
    assert "its pod needs" in answer.message
    assert "of the node's memory" in answer.message


def test_where_nothing_fits_the_refusal_says_so():
    nothing_else = Profiles.model_validate({"hardware": {"t4": {"accelerator": "nvidia-t4"}}})
    answer = refused(nothing_else, **chatting(model="llama-3.1-70b") | {"hardware": {"profile": "t4"}})
    assert "take a smaller model" in answer.message


def test_a_sequence_longer_than_an_encoder_reads_is_refused():
    answer = refused(training={"sequenceLength": 1024})
    assert answer.reason is Reason.INVALID_SPEC
    assert "at most 512" in answer.message


def test_unknown_hardware_is_refused():
    assert refused(**chatting("nvidia-l5")).reason is Reason.UNKNOWN_HARDWARE


def test_where_nothing_is_offered_that_trains_the_refusal_says_so():
    only_fpga = Profiles.model_validate({"hardware": {"fpga": {"accelerator": "fpga"}}})
    assert refused(only_fpga, **chatting("auto")).reason is Reason.UNKNOWN_HARDWARE
