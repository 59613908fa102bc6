"""What follows from how a step is computed."""

import typing

import pytest
from any_workloads import a_workload_of, an_adapter
from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.technique import Method, PeftType
from finetune_operator.api.v1alpha1.training import Precision
from finetune_operator.planning import catalog
from finetune_operator.planning.memory.adapters import lora
from finetune_operator.planning.memory.workload import Sharding, Stack

LLAMA = catalog.find("llama-3.2-3b")
UNCAST = Stack(autocast=False)
DEEPSPEED = Sharding(strategy=Strategy.DEEPSPEED, stage=2, devices=2)


def test_tokens_are_those_of_all_rows():
    assert a_workload_of(LLAMA).tokens == 4 * 512


def test_a_preference_is_two_rows():
    assert a_workload_of(LLAMA, sequences_per_row=2).tokens == 2 * 4 * 512


def test_virtual_tokens_lengthen_each_row():
    prompt = an_adapter(LLAMA, Method.PEFT, PeftType.PROMPT_TUNING, num_virtual_tokens=8)
    assert a_workload_of(LLAMA, Method.PEFT, adapter=prompt).tokens == 4 * 520


class Widths(typing.NamedTuple):
    precision: Precision
    want: int
    """Bytes of a value that layers pass on."""
    want_trained: int
    """Bytes of a weight where all of them learn."""


WIDTHS = {
    "fp32": Widths(Precision.FP32, 4, 4),
    "bf16": Widths(Precision.BF16, 2, 2),
    "bf16 beside fp32": Widths(Precision.BF16_MIXED, 2, 4),
    "fp16 beside fp32": Widths(Precision.FP16, 2, 4),
}


@pytest.mark.parametrize("case", WIDTHS.values(), ids=WIDTHS)
def test_a_number_format_says_how_wide_values_are(case):
    work = a_workload_of(LLAMA, Method.FULL, precision=case.precision)
    assert (work.width, work.trained_width) == (case.want, case.want_trained)


def test_weights_are_mixed_only_where_all_learn_and_deepspeed_does_not_keep_them():
    mixed = {"precision": Precision.BF16_MIXED}
    assert a_workload_of(LLAMA, Method.FULL, **mixed).mixed
    assert not a_workload_of(LLAMA, Method.LORA, **mixed).mixed
    assert not a_workload_of(LLAMA, Method.FULL, sharding=DEEPSPEED, **mixed).mixed


CASTS = {
    "an fp32 adapter on a bf16 model": ({"adapter_bytes": 4}, True),
    "an adapter in the model's type": ({"adapter_bytes": 2}, False),
    "all in fp32": ({"adapter_bytes": 4, "precision": Precision.FP32}, False),
}


@pytest.mark.parametrize(("facts", "want"), CASTS.values(), ids=CASTS)
def test_an_adapter_of_another_type_casts_its_input(facts, want):
    assert a_workload_of(LLAMA, **facts).casts_adapter_input is want


def test_autocast_keeps_an_adapters_values_as_narrow_as_the_models():
    assert a_workload_of(LLAMA).adapter_width == 2
    assert a_workload_of(LLAMA, stack=UNCAST).adapter_width == 4


def test_a_head_learns_with_everything_or_when_it_is_copied():
    adapter = an_adapter(LLAMA, Method.LORA)
    copied = lora.with_embeddings(LLAMA, adapter, ("lm_head",))
    assert a_workload_of(LLAMA, Method.FULL).trains_head
    assert a_workload_of(LLAMA, adapter=copied).trains_head
    assert not a_workload_of(LLAMA, adapter=adapter).trains_head
