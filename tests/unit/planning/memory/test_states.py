"""What lies on a device at rest, by the papers that say what each way of training keeps and divides."""

import dataclasses
import typing

import pytest
from any_workloads import a_workload_of, an_adapter
from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.technique import Method, PeftType
from finetune_operator.api.v1alpha1.training import Optimizer, Precision
from finetune_operator.planning import catalog
from finetune_operator.planning.memory import states
from finetune_operator.planning.memory.adapters import lora
from finetune_operator.planning.memory.workload import Loading, Quantizer, Sharding, Stack

LLAMA = catalog.find("llama-3.2-3b")
BIG = catalog.find("llama-3.1-70b")
GB = 10**9


def held(method=Method.FULL, shape=LLAMA, **facts):
    return states.states(shape, a_workload_of(shape, method, **facts))


def zero(stage, devices=64, **more):
    return Sharding(strategy=Strategy.DEEPSPEED, stage=stage, devices=devices, **more)


def fsdp(devices=4, **more):
    return Sharding(strategy=Strategy.FSDP, stage=3, devices=devices, **more)


# bytes a weight with 64 devices: 2 of the weight, 2 of its gradient, 12 of the optimizer (ZeRO, arXiv 1910.02054)
STAGES = {0: 16, 1: 4 + 12 / 64, 2: 2 + 14 / 64, 3: 16 / 64}


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_divides_what_the_paper_says(stage):
    parts = held(sharding=zero(stage))
    per_weight = (parts.weights + parts.gradients + parts.optimizer) / LLAMA.parameters
    assert per_weight == pytest.approx(STAGES[stage])


class Format(typing.NamedTuple):
    precision: Precision
    want: float
    """Bytes of weight, gradient and Adam's moments for each weight that learns."""


FORMATS = {
    "all in 16 bits": Format(Precision.BF16, 8),
    "learning in fp32, computing in bf16": Format(Precision.BF16_MIXED, 16),
    "learning in fp32, computing in fp16": Format(Precision.FP16, 16),
    "all in fp32": Format(Precision.FP32, 16),
}


@pytest.mark.parametrize("case", FORMATS.values(), ids=FORMATS)
def test_full_fine_tuning_needs_what_its_number_format_says(case):
    parts = held(precision=case.precision)
    assert (parts.weights + parts.gradients + parts.optimizer) / LLAMA.parameters == case.want


def test_deepspeed_in_fp32_needs_no_second_copy_of_the_weights():
    parts = held(precision=Precision.FP32, sharding=zero(0))
    assert (parts.weights + parts.gradients + parts.optimizer) / LLAMA.parameters == 16
    assert parts.step == 0


# bytes of states for each weight in bf16
OPTIMIZERS = {
    Optimizer.ADAMW: 4,
    Optimizer.ADAMW_FUSED: 4,
    Optimizer.PAGED_ADAMW: 4,
    Optimizer.ADAMW_8BIT: 2.03,
    Optimizer.PAGED_ADAMW_8BIT: 2.03,
    Optimizer.LION: 2,
    Optimizer.LION_8BIT: 1.016,
    Optimizer.ADAFACTOR: 0.02,
    Optimizer.SGD: 0,
}


@pytest.mark.parametrize("optimizer", Optimizer)
def test_optimizers_keep_states_of_their_width(optimizer):
    parts = held(Method.LORA, optimizer=optimizer, adapter_bytes=2)
    adapter = an_adapter(LLAMA, Method.LORA).parameters
    assert parts.optimizer / adapter == pytest.approx(OPTIMIZERS[optimizer], rel=0.01)


@pytest.mark.parametrize("optimizer", [Optimizer.ADAMW_8BIT, Optimizer.LION_8BIT])
def test_8_bit_optimizers_keep_the_embeddings_states_wide(optimizer):
    wide = held(optimizer=optimizer).optimizer - OPTIMIZERS[optimizer] * LLAMA.parameters
    embedding = LLAMA.vocabulary * LLAMA.hidden
    assert wide == pytest.approx((8 - OPTIMIZERS[optimizer]) * embedding, rel=0.01)


@pytest.mark.parametrize("optimizer", Optimizer)
def test_only_optimizers_that_take_all_weights_at_once_need_room_in_their_step(optimizer):
    at_once = optimizer in {Optimizer.ADAMW, Optimizer.ADAFACTOR}
    assert (held(optimizer=optimizer).step > 0) is at_once


# bytes a weight of a matrix
QUANTIZED = {
    Quantizer.NF4: 0.5625,
    Quantizer.NF4_DOUBLE: 0.516,
    Quantizer.INT8: 1.0,
    Quantizer.GPTQ: 0.52,
}


@pytest.mark.parametrize("quantizer", Quantizer)
def test_quantization_shrinks_matrices_and_nothing_else(quantizer):
    work = a_workload_of(LLAMA, Method.QLORA, quantizer=quantizer)
    rest = LLAMA.parameters - LLAMA.linear_parameters
    matrices = states.frozen_bytes(LLAMA, work) - 2 * rest
    assert matrices / LLAMA.linear_parameters == pytest.approx(QUANTIZED[quantizer], rel=0.001)


def test_lifting_what_is_not_quantized_doubles_it():
    plain, lifted = (held(Method.QLORA, stack=Stack(lifted=wish)).weights for wish in (False, True))
    assert lifted - plain == 2 * (LLAMA.parameters - LLAMA.linear_parameters)


WRITTEN_OUT = {None: 0, Quantizer.INT8: 0, Quantizer.NF4: 2, Quantizer.NF4_DOUBLE: 2, Quantizer.GPTQ: 10}


@pytest.mark.parametrize("quantizer", WRITTEN_OUT)
def test_a_matrix_is_written_out_to_be_computed_with(quantizer):
    work = a_workload_of(LLAMA, Method.QLORA, quantizer=quantizer)
    assert states.dequantized(LLAMA, work) == WRITTEN_OUT[quantizer] * 3072 * 8192


def test_an_adapter_keeps_its_weights_gradients_and_moments_and_nothing_of_the_model():
    parts, adapter = held(Method.LORA), an_adapter(LLAMA, Method.LORA).parameters
    assert (parts.weights, parts.adapter, parts.gradients) == (2 * LLAMA.parameters, 4 * adapter, 4 * adapter)
    assert parts.optimizer == 8 * adapter


def test_embeddings_beside_an_adapter_learn_in_the_models_width():
    adapter = lora.with_embeddings(LLAMA, an_adapter(LLAMA, Method.LORA), ("embed_tokens",))
    plain, more = held(Method.LORA), held(Method.LORA, adapter=adapter)
    assert more.adapter - plain.adapter == more.gradients - plain.gradients == 2 * adapter.embeddings


def test_a_copy_on_each_device_keeps_gradients_twice():
    parts = held(Method.LORA, sharding=Sharding(strategy=Strategy.DDP, devices=2))
    assert (parts.buffers, parts.gathered) == (parts.gradients, 0)
    assert held(Method.LORA, sharding=Sharding(strategy=Strategy.DDP)).buffers == 0


def test_fsdp_divides_everything_and_gathers_two_layers():
    parts, whole = held(shape=BIG, sharding=fsdp()), held(shape=BIG)
    assert parts.weights == whole.weights / 4
    assert parts.gradients == whole.gradients / 4
    layer = sum(one.weights for one in BIG.linears)
    embedding = BIG.vocabulary * BIG.hidden
    assert parts.gathered == 2 * 2 * max(layer, embedding)
    assert whole.gathered == 0


def test_what_is_gathered_is_never_more_than_what_others_hold():
    tiny = catalog.find("tiny-phi3")
    parts = held(shape=tiny, sharding=zero(3, 2))
    assert parts.gathered == parts.weights == tiny.parameters


def test_zero_3_keeps_a_thousand_million_weights_gathered():
    assert held(shape=BIG, sharding=zero(3)).gathered == 2 * GB


def test_buckets_are_never_larger_than_what_learns():
    assert held(shape=BIG, sharding=zero(2)).buffers == 2 * GB
    adapter = an_adapter(LLAMA, Method.LORA).parameters
    assert held(Method.LORA, sharding=zero(2)).buffers == 4 * adapter


def test_offloading_the_optimizer_moves_its_states_and_gradients():
    parts = held(sharding=zero(2, offload_optimizer=True))
    assert (parts.optimizer, parts.gradients, parts.step) == (0, 0, 0)
    assert parts.weights == 2 * LLAMA.parameters


@pytest.mark.parametrize("share", [zero, fsdp])
def test_offloading_parameters_leaves_what_is_computed_with(share):
    args = (3,) if share is zero else ()
    parts = held(shape=BIG, sharding=share(*args, offload_optimizer=True, offload_parameters=True))
    assert (parts.weights, parts.loading) == (0, 0)
    assert 0 < parts.gathered < 10 * GB


def test_parameters_that_are_not_divided_are_not_offloaded():
    assert held(sharding=zero(2, offload_parameters=True)).weights == 2 * LLAMA.parameters


LOADED = {
    "on one device": (Sharding(), Loading.SHARDED, 1.0),
    "each its own part": (fsdp(), Loading.SHARDED, 0.25),
    "all and then a part": (fsdp(), Loading.WHOLE, 1.25),
    "all on one device": (Sharding(), Loading.WHOLE, 1.0),
    "a part under ZeRO-3": (zero(3, 4), Loading.SHARDED, 0.25),
    "all under ZeRO-3": (zero(3, 4), Loading.WHOLE, 1.0),
}


@pytest.mark.parametrize(("sharding", "loading", "want"), LOADED.values(), ids=LOADED)
def test_weights_are_loaded(sharding, loading, want):
    parts = held(sharding=sharding, stack=Stack(loading=loading))
    assert parts.loading == want * 2 * LLAMA.parameters


def test_values_that_do_not_learn_are_on_every_device():
    vera = an_adapter(LLAMA, Method.PEFT, PeftType.VERA)
    work = a_workload_of(LLAMA, Method.PEFT, adapter=vera, sharding=zero(3, 1024))
    bare = dataclasses.replace(work, adapter=dataclasses.replace(vera, frozen_values=0))
    assert states.states(LLAMA, work).adapter - states.states(LLAMA, bare).adapter == 2 * vera.frozen_values


def test_a_reference_is_a_frozen_model():
    assert held(reference=True).reference == 2 * LLAMA.parameters
    assert held().reference == 0


def test_what_learns_is_the_model_or_the_adapter():
    adapter = lora.with_embeddings(LLAMA, an_adapter(LLAMA, Method.LORA), ("lm_head",))
    work = a_workload_of(LLAMA, adapter=adapter)
    assert states.trainable(LLAMA, work) == adapter.parameters + LLAMA.vocabulary * LLAMA.hidden
    assert states.trainable(LLAMA, a_workload_of(LLAMA, Method.FULL)) == LLAMA.parameters


def test_an_adapter_on_quantized_weights_gathers_them_as_they_are_stored():
    quantized, plain = (held(method, BIG, sharding=fsdp()).gathered for method in (Method.QLORA, Method.LORA))
    assert quantized <= plain
