"""Architectures beside those of the catalog's models, against transformers' own modules and published counts."""

import pytest
from finetune_operator.planning.catalog import ModelKind, from_config, has_experts, is_known
from finetune_operator.planning.memory.adapters.lora import default_targets

GATED = {"feed_forward_proj": "gated-gelu", "d_kv": 64, "num_decoder_layers": 24, "num_layers": 24}
ENCODER = {"hidden_size": 768, "num_attention_heads": 12, "max_position_embeddings": 512}

CONFIGS = {
    "bigscience/mt0-xxl": (
        {"model_type": "mt5", "d_model": 4096, "d_ff": 10240, "num_heads": 64, "vocab_size": 250112}
        | GATED
        | {"tie_word_embeddings": False},
        12_921_057_280,
    ),
    "google/umt5-small": (
        {"model_type": "umt5", "d_model": 512, "d_ff": 1024, "num_heads": 6, "vocab_size": 256384, "d_kv": 64}
        | {"num_layers": 8, "num_decoder_layers": 8, "tie_word_embeddings": False},
        306_601_984,
    ),
    "bigscience/bloomz-7b1": (
        {"model_type": "bloom", "n_embed": 4096, "n_layer": 30, "num_attention_heads": 32, "vocab_size": 250880},
        7_069_016_064,
    ),
    "EleutherAI/gpt-j-6b": (
        {"model_type": "gptj", "n_embd": 4096, "n_head": 16, "n_inner": None, "n_layer": 28, "n_positions": 2048}
        | {"vocab_size": 50400},
        6_050_882_784,
    ),
    "mosaicml/mpt-7b": (
        {"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32, "expansion_ratio": 4}
        | {"max_seq_len": 2048, "vocab_size": 50432},
        6_649_286_656,
    ),
    "CohereForAI/c4ai-command-r-v01": (
        {"model_type": "cohere", "hidden_size": 8192, "intermediate_size": 22528, "num_attention_heads": 64}
        | {"num_hidden_layers": 40, "vocab_size": 256000, "max_position_embeddings": 8192},
        34_980_831_232,
    ),
    "facebook/bart-large": (
        {"model_type": "bart", "d_model": 1024, "encoder_layers": 12, "decoder_layers": 12, "vocab_size": 50265}
        | {"encoder_attention_heads": 16, "encoder_ffn_dim": 4096, "max_position_embeddings": 1024},
        406_291_456,
    ),
    "distilbert-base-uncased": (
        {"model_type": "distilbert", "dim": 768, "hidden_dim": 3072, "n_heads": 12, "n_layers": 6}
        | {"max_position_embeddings": 512, "vocab_size": 30522},
        66_362_880 + 768 * 769,
    ),
    "microsoft/deberta-v3-base": (
        {"model_type": "deberta-v2", "intermediate_size": 3072, "num_hidden_layers": 12, "vocab_size": 128100}
        | {"position_buckets": 256, "relative_attention": True, "position_biased_input": False, "type_vocab_size": 0}
        | {"max_relative_positions": -1}
        | ENCODER,
        183_831_552 + 768 * 769,
    ),
    "answerdotai/ModernBERT-base": (
        {"model_type": "modernbert", "intermediate_size": 1152, "num_hidden_layers": 22, "vocab_size": 50368}
        | ENCODER
        | {"max_position_embeddings": 8192},
        149_014_272 + 768 * 768,
    ),
    "google/electra-base-discriminator": (
        {
            "model_type": "electra",
            "embedding_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "vocab_size": 30522,
        }
        | ENCODER,
        108_891_648 + 768 * 769,
    ),
    "google/electra-small-discriminator": (
        {
            "model_type": "electra",
            "embedding_size": 128,
            "hidden_size": 256,
            "intermediate_size": 1024,
            "num_attention_heads": 4,
            "num_hidden_layers": 12,
            "max_position_embeddings": 512,
            "vocab_size": 30522,
        },
        13_483_008 + 256 * 257,
    ),
    "facebook/opt-350m": (
        {"model_type": "opt", "hidden_size": 1024, "ffn_dim": 4096, "num_attention_heads": 16, "vocab_size": 50272}
        | {"num_hidden_layers": 24, "max_position_embeddings": 2048, "word_embed_proj_dim": 512},
        331_196_416,
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_an_architecture_adds_up_to_its_published_parameters(name):
    config, published = CONFIGS[name]
    assert from_config(config).parameters == pytest.approx(published, rel=1e-3)


ENCODERS = {name: config for name, (config, _published) in CONFIGS.items() if name[-4:] in {"ased", "base", "ator"}}


def test_encoders_are_no_decoders():
    kinds = {name: from_config(config).kind for name, (config, _published) in CONFIGS.items()}
    assert {name for name, kind in kinds.items() if kind is ModelKind.ENCODER} == ENCODERS.keys()
    assert {name for name, kind in kinds.items() if kind is ModelKind.ENCODER_DECODER} == {
        "bigscience/mt0-xxl",
        "google/umt5-small",
        "facebook/bart-large",
    }


@pytest.mark.parametrize(
    ("name", "targets"),
    {
        "distilbert-base-uncased": ("q_lin", "v_lin"),
        "microsoft/deberta-v3-base": ("query_proj", "value_proj"),
        "answerdotai/ModernBERT-base": ("Wqkv",),
        "google/electra-base-discriminator": ("query", "value"),
    }.items(),
)
def test_query_and_value_of_an_encoder_are_adapted_by_its_own_names(name, targets):
    assert default_targets(from_config(CONFIGS[name][0])) == targets


def test_a_table_of_distances_is_as_long_as_a_config_says():
    config, _published = CONFIGS["microsoft/deberta-v3-base"]
    rows = {said: from_config(config | {"position_buckets": said}).learned_positions for said in (256, -1)}
    assert rows == {256: 512, -1: 1024}
    assert from_config(config | {"relative_attention": False, "position_biased_input": True}).learned_positions == 512


def test_a_token_table_is_as_wide_as_a_config_says():
    config, _published = CONFIGS["google/electra-small-discriminator"]
    assert from_config(config).embedding_width == 128
    assert from_config(config | {"embedding_size": 256}) == from_config(config | {"embedding_size": None})
    assert from_config(config | {"model_type": "bert"}).embedding is None, "a BERT never reads it"


def test_an_architecture_is_known_or_taken_for_a_llama():
    assert is_known("llama")
    assert is_known("mt5")
    assert not is_known("brand-new")


def test_experts_are_told_by_the_name_or_known():
    assert has_experts("qwen2_moe")
    assert has_experts("mixtral")
    assert not has_experts("llama")
