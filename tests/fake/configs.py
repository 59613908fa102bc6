"""What the config.json of models says that the catalog does not have, at least one for each further `model_type`.

Written from memory, since no model hub was at hand; tests/unit/planning/catalog/test_families.py compares the
parameters of some with published ones. A model whose own numbers are not at hand has those of another of its kind,
and a name that begins with `like-`.

Not here: models of the catalog, what is adapted (`architectures.py`). Needs no torch.
"""

from __future__ import annotations

from typing import Any


def _decoder(model_type: str, *, layers: int, heads: int, **values: Any) -> dict[str, Any]:
    return {"model_type": model_type, "num_hidden_layers": layers, "num_attention_heads": heads} | values


def _encoder(model_type: str, **values: Any) -> dict[str, Any]:
    base = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    return {"model_type": model_type} | base | {"max_position_embeddings": 512, "vocab_size": 30522} | values


def _roberta(model_type: str, vocabulary: int, **values: Any) -> dict[str, Any]:
    positions = {"max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 1}
    return _encoder(model_type, vocab_size=vocabulary, **positions) | values


def _bart(model_type: str, vocabulary: int, hidden: int, layers: int, **values: Any) -> dict[str, Any]:
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in {"layers": layers, "attention_heads": hidden // 64, "ffn_dim": 4 * hidden}.items()
    }
    shape = {"model_type": model_type, "vocab_size": vocabulary, "d_model": hidden, "max_position_embeddings": 1024}
    return shape | sides | {"dropout": 0.1} | values


def _t5(model_type: str, vocabulary: int, *, layers: int, heads: int, **values: Any) -> dict[str, Any]:
    sides = {"num_layers": layers, "num_decoder_layers": layers, "num_heads": heads, "d_kv": 64}
    gated = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "decoder_start_token_id": 0}
    return {"model_type": model_type, "vocab_size": vocabulary} | sides | gated | values


_SMALL_LLAMA: dict[str, Any] = {
    "vocab_size": 128256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": True,
}

CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2-medium": {
        "model_type": "gpt2",
        "n_embd": 1024,
        "n_head": 16,
        "n_layer": 24,
        "n_positions": 1024,
        "vocab_size": 50257,
    },
    "opt-1.3b": _decoder(
        "opt",
        layers=24,
        heads=32,
        hidden_size=2048,
        ffn_dim=8192,
        vocab_size=50272,
        max_position_embeddings=2048,
        word_embed_proj_dim=2048,
        dropout=0.1,
        attention_dropout=0.0,
    ),
    "opt-350m": _decoder(
        "opt",
        layers=24,
        heads=16,
        hidden_size=1024,
        ffn_dim=4096,
        vocab_size=50272,
        max_position_embeddings=2048,
        word_embed_proj_dim=512,
        do_layer_norm_before=False,
        dropout=0.1,
        attention_dropout=0.0,
    ),
    "bloom-560m": {"model_type": "bloom", "hidden_size": 1024, "n_head": 16, "n_layer": 24, "vocab_size": 250880},
    "gpt-j-6b": {
        "model_type": "gptj",
        "n_embd": 4096,
        "n_head": 16,
        "n_inner": None,
        "n_layer": 28,
        "n_positions": 2048,
        "rotary_dim": 64,
        "vocab_size": 50400,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "tie_word_embeddings": False,
    },
    "mpt-7b": {
        "model_type": "mpt",
        "d_model": 4096,
        "n_heads": 32,
        "n_layers": 32,
        "expansion_ratio": 4,
        "max_seq_len": 2048,
        "vocab_size": 50432,
    },
    "starcoder2-3b": _decoder(
        "starcoder2",
        layers=30,
        heads=24,
        hidden_size=3072,
        intermediate_size=12288,
        num_key_value_heads=2,
        max_position_embeddings=16384,
        sliding_window=4096,
        vocab_size=49152,
        attention_dropout=0.1,
        embedding_dropout=0.1,
        residual_dropout=0.1,
    ),
    "command-r": _decoder(
        "cohere",
        layers=40,
        heads=64,
        hidden_size=8192,
        intermediate_size=22528,
        num_key_value_heads=64,
        max_position_embeddings=8192,
        vocab_size=256000,
        logit_scale=0.0625,
        use_qk_norm=False,
    ),
    "gemma-2b": _decoder(
        "gemma",
        layers=18,
        heads=8,
        hidden_size=2048,
        intermediate_size=16384,
        num_key_value_heads=1,
        head_dim=256,
        max_position_embeddings=8192,
        vocab_size=256000,
    ),
    "stablelm-3b": _decoder(
        "stablelm",
        layers=32,
        heads=32,
        hidden_size=2560,
        intermediate_size=6912,
        num_key_value_heads=32,
        max_position_embeddings=4096,
        vocab_size=50304,
        partial_rotary_factor=0.25,
        use_qkv_bias=False,
        tie_word_embeddings=False,
    ),
    "smollm3-3b": _decoder(
        "smollm3",
        layers=36,
        heads=16,
        hidden_size=2048,
        intermediate_size=11008,
        num_key_value_heads=4,
        max_position_embeddings=65536,
        vocab_size=128256,
        tie_word_embeddings=True,
    ),
    "seed-oss-36b": _decoder(
        "seed_oss",
        layers=64,
        heads=80,
        hidden_size=5120,
        intermediate_size=27648,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=524288,
        vocab_size=155136,
        attention_bias=True,
        attention_out_bias=False,
        tie_word_embeddings=False,
    ),
    "like-granite": _decoder("granite", layers=16, heads=32, **_SMALL_LLAMA),
    "like-ministral": _decoder("ministral", layers=16, heads=32, **_SMALL_LLAMA, head_dim=64, sliding_window=32768),
    "distilbert-base": {
        "model_type": "distilbert",
        "dim": 768,
        "hidden_dim": 3072,
        "n_heads": 12,
        "n_layers": 6,
        "max_position_embeddings": 512,
        "vocab_size": 30522,
    },
    "deberta-v3-base": _encoder(
        "deberta-v2",
        vocab_size=128100,
        relative_attention=True,
        position_buckets=256,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        max_relative_positions=-1,
        position_biased_input=False,
        type_vocab_size=0,
    ),
    "modernbert-base": _encoder(
        "modernbert", intermediate_size=1152, num_hidden_layers=22, max_position_embeddings=8192, vocab_size=50368
    ),
    "electra-base": _encoder("electra", embedding_size=768),
    "electra-small": _encoder(
        "electra", embedding_size=128, hidden_size=256, intermediate_size=1024, num_attention_heads=4
    ),
    "like-ernie": _encoder("ernie"),
    "megatron-bert-345m": _encoder(
        "megatron-bert",
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        vocab_size=29056,
    ),
    "roberta-base": _roberta("roberta", 50265),
    "xlm-roberta-base": _roberta("xlm-roberta", 250002),
    "xlm-roberta-xl": _roberta(
        "xlm-roberta-xl",
        250880,
        hidden_size=2560,
        intermediate_size=10240,
        num_hidden_layers=36,
        num_attention_heads=32,
    ),
    "camembert-base": _roberta("camembert", 32005),
    "data2vec-text-base": _roberta("data2vec-text", 50265),
    "like-roberta-prelayernorm": _roberta("roberta-prelayernorm", 50265),
    "mt5-base": _t5("mt5", 250112, layers=12, heads=12, d_model=768, d_ff=2048),
    "umt5-small": _t5("umt5", 256384, layers=8, heads=6, d_model=512, d_ff=1024),
    "bart-base": _bart("bart", 50265, 768, 6, activation_dropout=0.1, attention_dropout=0.1),
    "mbart-large": _bart("mbart", 250027, 1024, 12, activation_dropout=0.0, attention_dropout=0.0),
}
"""By name, as `from_config` and transformers read it."""
