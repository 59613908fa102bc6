"""How large PEFT's other adapters are, by what PEFT itself counts, and what their values are kept for."""

import pathlib

import pytest
from any_workloads import SHAPES, a_workload_of
from case import rows
from finetune_operator.api.v1alpha1.technique import Method, PeftType
from finetune_operator.planning import catalog
from finetune_operator.planning.memory import device
from finetune_operator.planning.memory.adapters import lora
from finetune_operator.planning.memory.adapters.peft import SIZES, peft
from hypothesis import given
from hypothesis import strategies as some

LLAMA = catalog.find("llama-3.2-3b")
ALL = {"target_modules": lora.ALL_LINEAR}

TARGETS = {"all": lora.ALL_LINEAR, "qv": "q_proj,v_proj"}
RANKED = {"r": 8, "init_r": 8, "num_virtual_tokens": 8, "encoder_hidden_size": 128, "oft_block_size": 32}

COUNTED_STEPS = {
    (case.method, case.rank, case.targets): counted.trainable
    for case, counted in rows(pathlib.Path(__file__).parents[4] / "data/fake_memory.csv")
    if case.method in set(PeftType) and case.model == "llama-3.2-3b"
}


@pytest.mark.parametrize("key", COUNTED_STEPS, ids=lambda key: "-".join(map(str, key)))
def test_parameters_are_those_that_peft_counts(key):
    """Of a Llama; the rank is the number of virtual tokens where there are such."""
    kind, rank, targets = key
    ranks = RANKED | {"r": rank, "init_r": rank, "num_virtual_tokens": rank}
    adapter = peft(LLAMA, PeftType(kind), ranks | {"target_modules": TARGETS[targets]})
    assert adapter.parameters == COUNTED_STEPS[key]


# trainable parameters that PEFT 0.21 counts in one layer of a Llama-3.2-3B, rank 8, every linear layer
ONE_LAYER = {
    PeftType.C3A: 393_216,
    PeftType.DELORA: 434_183,
    PeftType.GRALORA: 434_176,
    PeftType.HIRA: 434_176,
    PeftType.ROAD: 27_648,
    PeftType.WAVEFT: 7 * 2592,
    PeftType.BOFT: 134_144,
    PeftType.VBLORA: 282_624,
}


@pytest.mark.parametrize("kind", ONE_LAYER)
def test_parameters_of_one_layer_are_those_that_peft_counts(kind):
    shallow = catalog.ModelShape.model_validate(LLAMA.model_dump() | {"layers": 1})
    options = {} if kind is PeftType.VBLORA else RANKED
    assert peft(shallow, kind, ALL | options).parameters == ONE_LAYER[kind]


@pytest.mark.parametrize(
    ("kind", "by_size", "by_count"),
    [
        (PeftType.OFT, {"oft_block_size": 64}, {"r": 48}),
        (PeftType.BOFT, {"boft_block_size": 8}, {"boft_block_num": 384}),
    ],
)
def test_blocks_are_said_by_their_size_or_by_how_many_there_are(kind, by_size, by_count):
    reading = {"target_modules": "q_proj"}
    assert peft(LLAMA, kind, reading | by_count) == peft(LLAMA, kind, reading | by_size) != peft(LLAMA, kind, reading)


# bytes a token, and bytes a layer, beside what a frozen Llama-3.2-3B keeps: tests/fake/saved.py, rank 8, bf16, autocast
KEPT = {
    PeftType.IA3: (81_920, 0),
    PeftType.VERA: (55_416, 0),
    PeftType.ADALORA: (53_368, 0),
    PeftType.LOKR: (53_256, 201e6),
    PeftType.OFT: (53_256, 12e6),
    PeftType.BOFT: (83_976, 743e6),
    PeftType.FOURIERFT: (53_256, 201e6),
    PeftType.MISS: (120, 0),
    PeftType.C3A: (106_504, 0),
    PeftType.DELORA: (53_480, 0),
    PeftType.GRALORA: (53_480, 0),
    PeftType.HIRA: (53_256, 202e6),
    PeftType.ROAD: (221_192, 0),
    PeftType.LN_TUNING: (12_296, 0),
}


@pytest.mark.parametrize("kind", KEPT)
def test_what_is_kept_for_each_token_is_what_was_counted(kind):
    per_token, per_layer = KEPT[kind]
    adapter = peft(LLAMA, kind, ALL | RANKED)
    narrow = adapter.copied_inputs + adapter.inner_values + adapter.outputs
    assert 2 * narrow + 4 * adapter.wide_values == pytest.approx(per_token, rel=0.01, abs=10)
    assert 2 * (adapter.weight_values + adapter.square_values) == pytest.approx(per_layer, rel=0.15)


def test_every_adapter_of_the_api_has_a_size():
    assert set(SIZES) == set(PeftType)


@given(SHAPES, some.sampled_from(PeftType))
def test_every_adapter_trains_something_of_every_model(shape, kind):
    assert 0 < peft(shape, kind, {}).parameters < shape.parameters


def test_targets_are_pefts_usual_ones_unless_named():
    usual, named = (peft(LLAMA, PeftType.VERA, options) for options in ({}, {"target_modules": "q_proj,v_proj"}))
    assert usual == named
    assert peft(LLAMA, PeftType.VERA, ALL).parameters > usual.parameters


def test_ia3_scales_keys_values_and_the_mlps_last_input():
    found = peft(LLAMA, PeftType.IA3, {})
    assert found.parameters == LLAMA.layers * (2 * LLAMA.kv_width + LLAMA.intermediate)
    assert (found.outputs, found.wide_values) == (2 * LLAMA.kv_width, LLAMA.intermediate)


def test_an_option_that_is_no_number_counts_as_unset():
    assert peft(LLAMA, PeftType.VERA, {"r": "many"}) == peft(LLAMA, PeftType.VERA, {})


def test_prompts_lengthen_every_row():
    work = a_workload_of(LLAMA, Method.PEFT, adapter=peft(LLAMA, PeftType.PROMPT_TUNING, {"num_virtual_tokens": 50}))
    assert work.tokens == 4 * (512 + 50)


def test_a_prefix_copies_keys_and_values_for_heads_that_share_them():
    shared, own = (peft(shape, PeftType.PREFIX_TUNING, {}) for shape in (LLAMA, catalog.find("phi-3-mini")))
    assert (shared.outputs, own.outputs) == (2 * (LLAMA.query_width - LLAMA.kv_width), 0)


def test_learned_tokens_are_counted_in_their_list():
    assert peft(LLAMA, PeftType.TRAINABLE_TOKENS, {"token_indices": "5,7,9"}).parameters == 3 * LLAMA.hidden


def test_a_layernorm_trains_two_vectors_and_norms_of_heads_count():
    bert, qwen = catalog.find("bert-base"), catalog.find("qwen3-8b")
    assert peft(bert, PeftType.LN_TUNING, {}).parameters == 2 * (12 * 2 + 1) * 768
    assert peft(qwen, PeftType.LN_TUNING, {}).parameters == (36 * 2 + 1) * 4096 + 36 * 2 * 128


def test_an_encoder_decoder_has_norms_of_both_sides():
    assert peft(catalog.find("t5-base"), PeftType.LN_TUNING, {}).parameters == (12 * 2 + 12 * 3 + 2) * 768


def test_lokr_keeps_a_small_factor_whole_and_a_large_one_of_low_rank():
    few, many = (peft(LLAMA, PeftType.LOKR, {"r": rank}).parameters for rank in (2, 1024))
    assert few < many


def test_values_that_do_not_learn_still_lie_on_the_device():
    adapter = peft(LLAMA, PeftType.RANDLORA, ALL)
    work = a_workload_of(LLAMA, Method.PEFT, adapter=adapter)
    held = dict(device.estimate(LLAMA, work).terms)["adapter"]
    assert held == 4 * (adapter.parameters + adapter.frozen_values) > 4 * adapter.parameters + 10**8


def test_more_blocks_than_inputs_learn_nothing_and_no_less():
    assert peft(catalog.find("tiny-phi3"), PeftType.OFT, {"r": 256}).parameters >= 0
