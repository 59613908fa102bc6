"""What is read from a model's config.json."""

import pytest
from finetune_operator.planning.catalog import Biases, CatalogError, Layout, ModelKind, Norm, find, from_config

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}
PHI3_MINI = {
    "_name_or_path": "Phi-3-mini-4k-instruct",
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "max_position_embeddings": 4096,
    "model_type": "phi3",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "sliding_window": 2047,
    "tie_word_embeddings": False,
    "vocab_size": 32064,
}
BERT = {
    "architectures": ["BertForMaskedLM"],
    "hidden_act": "gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "type_vocab_size": 2,
    "vocab_size": 30522,
}
T5_SMALL = {
    "d_ff": 2048,
    "d_kv": 64,
    "d_model": 512,
    "is_encoder_decoder": True,
    "model_type": "t5",
    "n_positions": 512,
    "num_heads": 8,
    "num_layers": 6,
    "relative_attention_num_buckets": 32,
    "vocab_size": 32128,
}
PUBLISHED = {
    "phi-3-mini": PHI3_MINI,
    "phi-3-mini-128k": PHI3_MINI | {"max_position_embeddings": 131072, "sliding_window": 262144},
    "phi-3-small": {
        "ff_intermediate_size": 14336,
        "hidden_size": 4096,
        "max_position_embeddings": 8192,
        "model_type": "phi3small",
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "vocab_size": 100352,
    },
    "phi-2": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "max_position_embeddings": 2048,
        "model_type": "phi",
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": None,
        "tie_word_embeddings": False,
        "vocab_size": 51200,
    },
    "llama-3.1-8b": LLAMA,
    "gemma-2-9b": {
        "head_dim": 256,
        "hidden_size": 3584,
        "intermediate_size": 14336,
        "max_position_embeddings": 8192,
        "model_type": "gemma2",
        "num_attention_heads": 16,
        "num_hidden_layers": 42,
        "num_key_value_heads": 8,
        "sliding_window": 4096,
        "vocab_size": 256000,
    },
    "gemma-3-4b": {
        "model_type": "gemma3",
        "text_config": {
            "hidden_size": 2560,
            "intermediate_size": 10240,
            "model_type": "gemma3_text",
            "num_hidden_layers": 34,
            "sliding_window": 1024,
        },
        "vision_config": {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27},
    },
    "qwen2.5-7b": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "max_position_embeddings": 32768,
        "max_window_layers": 28,
        "model_type": "qwen2",
        "num_attention_heads": 28,
        "num_hidden_layers": 28,
        "num_key_value_heads": 4,
        "sliding_window": 131072,
        "tie_word_embeddings": False,
        "use_sliding_window": False,
        "vocab_size": 152064,
    },
    "qwen3-4b": {
        "attention_bias": False,
        "head_dim": 128,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "max_position_embeddings": 40960,
        "model_type": "qwen3",
        "num_attention_heads": 32,
        "num_hidden_layers": 36,
        "num_key_value_heads": 8,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "vocab_size": 151936,
    },
    "qwen-7b": {
        "hidden_size": 4096,
        "intermediate_size": 22016,
        "kv_channels": 128,
        "max_position_embeddings": 32768,
        "model_type": "qwen",
        "no_bias": True,
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "seq_length": 8192,
        "tie_word_embeddings": False,
        "vocab_size": 151936,
    },
    "falcon-7b": {
        "alibi": False,
        "bias": False,
        "hidden_size": 4544,
        "model_type": "falcon",
        "multi_query": True,
        "new_decoder_architecture": False,
        "num_attention_heads": 71,
        "num_hidden_layers": 32,
        "parallel_attn": True,
        "vocab_size": 65024,
    },
    "falcon-40b": {
        "bias": False,
        "hidden_size": 8192,
        "model_type": "falcon",
        "multi_query": True,
        "new_decoder_architecture": True,
        "num_attention_heads": 128,
        "num_hidden_layers": 60,
        "num_kv_heads": 8,
        "parallel_attn": True,
        "vocab_size": 65024,
    },
    "stablelm-base-alpha-3b": {
        "hidden_size": 4096,
        "intermediate_size": 16384,
        "max_position_embeddings": 4096,
        "model_type": "gpt_neox",
        "num_attention_heads": 32,
        "num_hidden_layers": 16,
        "tie_word_embeddings": False,
        "vocab_size": 50688,
    },
    "stablelm-3b": {
        "hidden_size": 2560,
        "intermediate_size": 6912,
        "max_position_embeddings": 4096,
        "model_type": "stablelm",
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 32,
        "use_qkv_bias": False,
        "vocab_size": 50304,
    },
    "bert-base": BERT,
    "roberta-base": BERT
    | {"max_position_embeddings": 514, "model_type": "roberta", "type_vocab_size": 1, "vocab_size": 50265},
    "t5-small": T5_SMALL,
    "flan-t5-base": {
        "d_ff": 2048,
        "d_kv": 64,
        "d_model": 768,
        "feed_forward_proj": "gated-gelu",
        "model_type": "t5",
        "n_positions": 512,
        "num_decoder_layers": 12,
        "num_heads": 12,
        "num_layers": 12,
        "tie_word_embeddings": False,
        "vocab_size": 32128,
    },
}


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
        "hidden_size": r"hidden_size \(or n_embd, d_model\) is missing",
        "num_hidden_layers": r"num_hidden_layers \(or n_layer, num_layers\) is missing",
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
