"""What is read from a model's config.json."""

import pytest
from finetune_operator.planning.catalog import Biases, CatalogError, Layout, ModelKind, Norm, find, from_config
from model_configs import BERT, LLAMA, PHI3_MINI, PUBLISHED, T5_SMALL


def numbers(shape):
    return shape.model_dump(exclude={"name", "aliases", "source", "published_parameters"})


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config_gives_the_shape_of_the_catalog(name):
    assert numbers(from_config(PUBLISHED[name])) == numbers(find(name))


GPT2 = {"model_type": "gpt2", "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "vocab_size": 50257}
OPT_125M = {
    "ffn_dim": 3072,
    "hidden_size": 768,
    "max_position_embeddings": 2048,
    "model_type": "opt",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "vocab_size": 50272,
}
BLOOM_560M = {"hidden_size": 1024, "model_type": "bloom", "n_head": 16, "n_layer": 24, "vocab_size": 250880}
STARCODER2_3B = {
    "hidden_size": 3072,
    "intermediate_size": 12288,
    "max_position_embeddings": 16384,
    "model_type": "starcoder2",
    "num_attention_heads": 24,
    "num_hidden_layers": 30,
    "num_key_value_heads": 2,
    "sliding_window": 4096,
    "vocab_size": 49152,
}
ELSEWHERE = {
    "gpt2": (GPT2, 124_439_808),
    "opt-125m": (OPT_125M, 125_239_296),
    "bloom-560m": (BLOOM_560M, 559_214_592),
    "starcoder2-3b": (STARCODER2_3B, 3_030_371_328),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_other_architectures_add_up_to_their_published_parameters(name):
    config, published = ELSEWHERE[name]
    assert from_config(config).parameters == pytest.approx(published, rel=1e-4)


def test_a_width_inside_is_a_multiple_where_a_config_says_so():
    mpt = {"model_type": "mpt", "d_model": 64, "n_heads": 4, "n_layers": 2, "max_seq_len": 64, "vocab_size": 100}
    assert from_config(mpt).intermediate == 256
    assert from_config(mpt | {"expansion_ratio": 8}).intermediate == 512


def test_an_unknown_architecture_counts_as_a_llama():
    assert numbers(from_config(LLAMA | {"model_type": "brand-new"})) == numbers(find("llama-3.1-8b")) | {
        "model_type": "brand-new"
    }
    assert from_config({key: value for key, value in LLAMA.items() if key != "model_type"}).layout is Layout.LLAMA


def test_a_shape_is_called_as_its_config_says_or_as_the_caller_does():
    assert from_config(PHI3_MINI).name == "Phi-3-mini-4k-instruct"
    assert from_config(PHI3_MINI, name="our/phi").name == "our/phi"
    assert from_config(BERT).name == "bert"


def test_a_bias_that_a_config_asks_for_is_counted():
    assert from_config(LLAMA | {"attention_bias": True}).biases is Biases.ATTENTION_IN
    assert from_config(PUBLISHED["falcon-7b"] | {"bias": True}).biases is Biases.ALL
    assert from_config(PUBLISHED["phi-2"] | {"attention_bias": True}).biases is Biases.ALL


@pytest.mark.parametrize(
    ("says", "kv_heads", "norms"),
    [
        ({"multi_query": False}, 71, 1),
        ({"parallel_attn": False}, 1, 2),
        ({"new_decoder_architecture": True, "num_kv_heads": 1, "num_ln_in_parallel_attn": 1}, 1, 1),
    ],
)
def test_falcons_of_other_kinds_are_read_by_their_switches(says, kv_heads, norms):
    shape = from_config(PUBLISHED["falcon-7b"] | says)
    assert (shape.kv_heads, shape.norms_per_layer) == (kv_heads, norms)


def test_the_text_model_of_a_multimodal_one_is_what_counts():
    wrapped = {"model_type": "mistral3", "text_config": LLAMA | {"model_type": "mistral"}, "tie_word_embeddings": True}
    assert from_config(wrapped).model_type == "mistral"
    assert not from_config(wrapped).tied


def test_an_encoder_decoder_is_recognised():
    shape = from_config(T5_SMALL)
    assert (shape.kind, shape.norm, shape.decoder_layers) == (ModelKind.ENCODER_DECODER, Norm.RMSNORM, 6)


@pytest.mark.parametrize(
    ("key", "message"),
    {
        "hidden_size": r"hidden_size \(or n_embd, n_embed, d_model, dim\) is missing",
        "num_hidden_layers": r"num_hidden_layers \(or n_layer, num_layers, .*\) is missing",
        "vocab_size": "vocab_size is missing",
        "intermediate_size": "intermediate_size .*ffn_dim.* is missing",
    }.items(),
)
def test_a_missing_number_is_named_with_the_words_it_may_have(key, message):
    with pytest.raises(CatalogError, match=message):
        from_config({name: value for name, value in LLAMA.items() if name != key})


@pytest.mark.parametrize("value", ["4096", 0, -1, 40.96, True, [4096]])
def test_what_is_no_whole_number_above_zero_is_refused(value):
    with pytest.raises(CatalogError, match="hidden_size must be a whole number above 0"):
        from_config(LLAMA | {"hidden_size": value})


def test_a_mixture_of_experts_is_refused():
    with pytest.raises(CatalogError, match="mixtral is a mixture of experts"):
        from_config(LLAMA | {"model_type": "mixtral", "num_local_experts": 8})
