"""How large LoRA and DoRA are, by what PEFT itself counts."""

import dataclasses
import pathlib

import pytest
from case import rows
from finetune_operator.planning import catalog
from finetune_operator.planning.memory.adapters import lora
from planner import shape_of

MINILM = catalog.find("all-MiniLM-L6-v2")
TINY = catalog.find("tiny-phi3")
LLAMA = catalog.find("llama-3.2-3b")
PHI2 = catalog.find("phi-2")
T5 = catalog.find("t5-base")
ALL = (lora.ALL_LINEAR,)
EMBEDDINGS = ("model.embed_tokens", "lm_head")

FIXED = {
    "MiniLM, query and value": (MINILM, ("query", "value"), 73_728),
    "tiny Phi-3, every linear layer": (TINY, ALL, 92_160),
    "tiny Phi-3, its fused projections by name": (TINY, ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"), 92_160),
}


@pytest.mark.parametrize(("shape", "targets", "want"), FIXED.values(), ids=FIXED)
def test_parameters_are_those_that_peft_counts(shape, targets, want):
    assert lora.lora(shape, 8, targets).parameters == want


METHODS = {"lora": lora.lora, "qlora": lora.lora, "dora": lora.dora}
COUNTED = {
    (case.model, case.method, case.rank): (shape_of(case), counted.trainable)
    for case, counted in rows(pathlib.Path(__file__).parents[4] / "data/fake_memory.csv")
    if case.method in METHODS and case.targets == "all"
}
CLASSIFIERS = {key for key, (shape, _counted) in COUNTED.items() if shape.kind is catalog.ModelKind.ENCODER}
"""Models whose head learns beside the adapter, and whose pooler has a name like a layer's."""


@pytest.mark.parametrize("key", sorted(COUNTED.keys() - CLASSIFIERS), ids=lambda key: "-".join(map(str, key)))
def test_parameters_of_every_architecture_are_those_that_peft_counts(key):
    _model, method, rank = key
    shape, counted = COUNTED[key]
    assert METHODS[method](shape, rank, ALL).parameters == counted


def test_there_are_architectures_of_many_kinds():
    assert len({model for model, _method, _rank in COUNTED.keys() - CLASSIFIERS}) >= 30


def test_an_unknown_target_counts_as_every_linear_layer():
    assert lora.lora(MINILM, 8, ("something",)) == lora.lora(MINILM, 8, ALL)


def test_encoders_and_decoders_have_their_own_default_targets():
    assert lora.default_targets(MINILM) == ("query", "value")
    assert lora.default_targets(TINY) == ALL


def test_an_input_that_matrices_share_is_distinct_once():
    found = lora.lora(LLAMA, 8, ("q_proj", "k_proj", "v_proj"))
    assert (found.copied_inputs, found.distinct_inputs) == (3 * LLAMA.hidden, LLAMA.hidden)


def test_the_attentions_output_is_no_input_of_its_own():
    found = lora.lora(LLAMA, 8, ("o_proj",))
    assert (found.copied_inputs, found.distinct_inputs, found.after_attention) == (LLAMA.query_width, 0, True)
    assert not lora.lora(LLAMA, 8, ("q_proj",)).after_attention


def test_attention_and_mlp_side_by_side_read_one_input():
    both, mlp = (lora.lora(PHI2, 8, names) for names in (("q_proj", "fc1"), ("fc1",)))
    assert both.distinct_inputs == mlp.distinct_inputs == PHI2.hidden


def test_inputs_are_kept_whichever_matrices_are_adapted_where_a_library_keeps_them():
    assert lora.lora(LLAMA, 8, ("q_proj",)).uncast_inputs == lora.lora(LLAMA, 8, ALL).distinct_inputs


def test_both_sides_of_an_encoder_decoder_count_with_their_layers():
    attention = lora.lora(T5, 8, ("q",)).parameters
    assert attention == 8 * 2 * T5.hidden * (T5.layers + 2 * T5.decoder_layers)


def test_dora_keeps_both_results_beside_what_lora_keeps():
    plain, dora = (size(LLAMA, 8, ALL) for size in (lora.lora, lora.dora))
    outputs = sum(one.width_out for one in LLAMA.linears)
    assert (dora.outputs, dora.inner_values - plain.inner_values) == (outputs, outputs)
    assert dora.parameters - plain.parameters == LLAMA.layers * outputs


def test_dora_writes_out_its_largest_weight():
    width = LLAMA.intermediate
    assert lora.dora(LLAMA, 8, ALL).weight_in_flight == width * width + 4 * width * LLAMA.hidden
    assert lora.dora(LLAMA, 8, ("q_proj",)).weight_in_flight == 5 * LLAMA.hidden**2


def test_dropout_is_remembered():
    assert lora.lora(LLAMA, 8, ALL, dropout=True).dropout
    assert lora.dora(LLAMA, 8, ALL, dropout=True).dropout


def test_embeddings_are_copied_whole():
    plain = lora.lora(LLAMA, 8, ALL)
    found = lora.with_embeddings(LLAMA, plain, EMBEDDINGS)
    assert found == dataclasses.replace(plain, embeddings=2 * LLAMA.vocabulary * LLAMA.hidden)
    assert lora.with_embeddings(LLAMA, plain, ("score",)) == plain


def test_an_adapted_head_has_two_matrices_more_and_keeps_what_goes_into_each():
    plain = lora.lora(LLAMA, 8, ALL)
    found = lora.with_head(LLAMA, plain, 8)
    assert found.parameters == plain.parameters + 8 * (LLAMA.hidden + LLAMA.vocabulary)
    assert found.head_values == LLAMA.hidden + 8
