"""How matrices of a layer are named, sized and matched."""

import pytest
from finetune_operator.planning.catalog import Group, find
from finetune_operator.planning.catalog.layouts import Layout, Widths, linears

WIDTHS = Widths(hidden=16, query=24, kv=8, inner=64, gated=True)

NAMES = {
    "meta-llama/Llama-3.1-8B": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "microsoft/Phi-3-mini-4k-instruct": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
    "microsoft/Phi-3-small-8k-instruct": ["query_key_value", "dense", "up_proj", "down_proj"],
    "microsoft/phi-2": ["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"],
    "tiiuae/falcon-7b": ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
    "stabilityai/stablelm-base-alpha-3b": ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
    "Qwen/Qwen-7B": ["c_attn", "c_proj", "w1", "w2", "c_proj"],
    "bert-base": ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"],
    "t5-small": ["q", "k", "v", "o", "wi", "wo"],
    "flan-t5-base": ["q", "k", "v", "o", "wi_0", "wi_1", "wo"],
}


@pytest.mark.parametrize(("model", "names"), NAMES.items())
def test_a_layer_has_the_modules_that_its_architecture_calls_so(model, names):
    assert [one.name for one in find(model).linears] == names


@pytest.mark.parametrize("layout", Layout)
def test_matrices_of_one_group_read_one_input(layout):
    widths = {group: {one.width_in for one in linears(layout, WIDTHS) if one.group is group} for group in Group}
    assert all(len(found) <= 1 for found in widths.values())
    assert widths[Group.ATTENTION_IN] == widths[Group.MLP_IN] == {16}
    assert widths[Group.ATTENTION_OUT] == {24}
    assert widths[Group.MLP_OUT] == {64}


@pytest.mark.parametrize("layout", Layout)
def test_every_layout_projects_queries_keys_and_values(layout):
    assert sum(one.width_out for one in linears(layout, WIDTHS) if one.group is Group.ATTENTION_IN) == 24 + 2 * 8


def test_a_target_matches_whole_words_at_the_end_of_a_path():
    query = find("llama-3.1-8b").linears[0]
    assert query.matches("q_proj")
    assert query.matches("self_attn.q_proj")
    assert not query.matches("proj")
    assert not query.matches("mlp.q_proj")


def test_a_target_that_two_modules_end_with_matches_both():
    assert [one.path for one in find("qwen-7b").linears if one.matches("c_proj")] == ["attn.c_proj", "mlp.c_proj"]
    assert len([one for one in find("bert-base").linears if one.matches("output.dense")]) == 2


def test_a_decoder_beside_an_encoder_also_attends_to_what_that_one_wrote():
    flan = find("flan-t5-base")
    crossing = [one.path for one in flan.decoder_linears if one not in flan.linears]
    assert crossing == [f"EncDecAttention.{name}" for name in "qkvo"]
    assert {one.group for one in flan.decoder_linears} == set(Group)


def test_a_decoder_on_its_own_has_no_matrices_to_attend_to_an_encoder():
    assert find("phi-2").decoder_linears == ()
