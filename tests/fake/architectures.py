"""The models that are counted: the published configurations, and how a model is made from one without any memory.

Dropout inside attention is off where a fused kernel computes it, because such a kernel keeps a seed and no mask. Other
dropout stays as published.

Not here: what else than the catalog's is published (`configs.py`), adapters and quantization (`techniques.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import qwen
import torch
import transformers
from configs import CONFIGS
from finetune_trainer.models import phi3small
from finetune_trainer.models.phi3small.configuration import Phi3SmallConfig

EAGER = "eager"
CLASSIFIER = "AutoModelForSequenceClassification"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A published model: transformers' classes, and the values of its config.json that decide its size.

    `config` is empty where the values name their `model_type` themselves.
    """

    config: str
    values: dict[str, Any]
    model: str = "AutoModelForCausalLM"
    attention_dropout: str = "attention_dropout"
    all_linear: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    query_and_value: tuple[str, ...] = ("q_proj", "v_proj")
    embedding_and_head: tuple[str, ...] = ("embed_tokens", "lm_head")


OPT = "q_proj k_proj v_proj out_proj fc1 fc2"
PHI3 = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")


def _shape(vocabulary: int, hidden: int, intermediate: int, *, layers: int, heads: tuple[int, int]) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
    }


def _published(name: str, targets: str, query_and_value: str, **values: Any) -> Architecture:
    return Architecture(
        "", CONFIGS[name], all_linear=tuple(targets.split()), query_and_value=tuple(query_and_value.split()), **values
    )


def _like_llama(name: str) -> Architecture:
    return Architecture("", CONFIGS[name])


def _classifier(name: str, targets: str, query_and_value: str, **values: Any) -> Architecture:
    usual = {"model": CLASSIFIER, "embedding_and_head": ("word_embeddings",)}
    usual["attention_dropout"] = "attention_probs_dropout_prob"
    return _published(name, targets, query_and_value, **(usual | values))


def _like_bert(name: str) -> Architecture:
    return _classifier(name, "query key value dense", "query value")


def _seq2seq(name: str, targets: str, query_and_value: str) -> Architecture:
    return _published(
        name, targets, query_and_value, model="AutoModelForSeq2SeqLM", embedding_and_head=("shared", "lm_head")
    )


def _phi3(shape: dict[str, Any], **values: Any) -> Architecture:
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return Architecture("Phi3Config", shape | tokens | values, all_linear=PHI3, query_and_value=("qkv_proj",))


ARCHITECTURES = {
    "phi-3-mini": _phi3(
        _shape(32064, 3072, 8192, layers=32, heads=(32, 32)), sliding_window=2047, max_position_embeddings=4096
    ),
    "phi-3-medium": _phi3(
        _shape(32064, 5120, 17920, layers=40, heads=(40, 10)), sliding_window=2047, max_position_embeddings=4096
    ),
    "phi-4-mini": _phi3(
        _shape(200064, 3072, 8192, layers=32, heads=(24, 8)),
        tie_word_embeddings=True,
        sliding_window=262144,
        max_position_embeddings=131072,
    ),
    "phi-3-small": Architecture(
        "Phi3SmallConfig",
        {},
        attention_dropout="attention_dropout_prob",
        all_linear=("query_key_value", "dense", "up_proj", "down_proj"),
        query_and_value=("query_key_value",),
        embedding_and_head=("embed_tokens",),
    ),
    "llama-3.1-8b": Architecture("LlamaConfig", _shape(128256, 4096, 14336, layers=32, heads=(32, 8))),
    "llama-3.2-1b": Architecture(
        "LlamaConfig",
        _shape(128256, 2048, 8192, layers=16, heads=(32, 8)) | {"head_dim": 64, "tie_word_embeddings": True},
    ),
    "llama-3.2-3b": Architecture(
        "LlamaConfig",
        _shape(128256, 3072, 8192, layers=28, heads=(24, 8)) | {"head_dim": 128, "tie_word_embeddings": True},
    ),
    "mistral-7b": Architecture(
        "MistralConfig", _shape(32768, 4096, 14336, layers=32, heads=(32, 8)) | {"sliding_window": None}
    ),
    "qwen2.5-7b": Architecture("Qwen2Config", _shape(152064, 3584, 18944, layers=28, heads=(28, 4))),
    "qwen3-8b": Architecture("Qwen3Config", _shape(151936, 4096, 12288, layers=36, heads=(32, 8)) | {"head_dim": 128}),
    "qwen-7b": Architecture(
        "QWenConfig",
        {},
        all_linear=("c_attn", "w1", "w2", "c_proj"),
        query_and_value=("c_attn",),
        embedding_and_head=("wte", "lm_head"),
    ),
    "gemma-2-9b": Architecture(
        "Gemma2Config",
        _shape(256000, 3584, 14336, layers=42, heads=(16, 8)) | {"head_dim": 256, "tie_word_embeddings": True},
    ),
    "gemma-3-4b": Architecture(
        "Gemma3TextConfig",
        _shape(262208, 2560, 10240, layers=34, heads=(8, 4))
        | {"head_dim": 256, "sliding_window": 1024, "tie_word_embeddings": True},
    ),
    "phi-2": Architecture(
        "PhiConfig",
        _shape(51200, 2560, 10240, layers=32, heads=(32, 32)) | {"partial_rotary_factor": 0.4, "resid_pdrop": 0.1},
        all_linear=("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"),
    ),
    "stablelm-base-alpha-3b": Architecture(
        "GPTNeoXConfig",
        {
            "vocab_size": 50688,
            "hidden_size": 4096,
            "intermediate_size": 16384,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "rotary_pct": 0.25,
            "max_position_embeddings": 4096,
        },
        all_linear=("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"),
        query_and_value=("query_key_value",),
        embedding_and_head=("embed_in", "embed_out"),
    ),
    "falcon-7b": Architecture(
        "FalconConfig",
        {
            "vocab_size": 65024,
            "hidden_size": 4544,
            "num_hidden_layers": 32,
            "num_attention_heads": 71,
            "multi_query": True,
            "parallel_attn": True,
            "bias": False,
            "new_decoder_architecture": False,
        },
        all_linear=("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"),
        query_and_value=("query_key_value",),
        embedding_and_head=("word_embeddings", "lm_head"),
    ),
    "bert-base": Architecture(
        "BertConfig",
        {"num_labels": 2},
        model=CLASSIFIER,
        attention_dropout="attention_probs_dropout_prob",
        all_linear=("query", "key", "value", "dense"),
        query_and_value=("query", "value"),
        embedding_and_head=("word_embeddings",),
    ),
    "t5-base": Architecture(
        "T5Config",
        {
            "vocab_size": 32128,
            "d_model": 768,
            "d_ff": 3072,
            "num_layers": 12,
            "num_heads": 12,
            "decoder_start_token_id": 0,
        },
        model="AutoModelForSeq2SeqLM",
        all_linear=("q", "k", "v", "o", "wi", "wo"),
        query_and_value=("q", "v"),
        embedding_and_head=("shared", "lm_head"),
    ),
    "gpt2-medium": _published(
        "gpt2-medium",
        "c_attn c_proj c_fc",
        "c_attn",
        attention_dropout="attn_pdrop",
        embedding_and_head=("wte", "lm_head"),
    ),
    "opt-1.3b": _published("opt-1.3b", OPT, "q_proj v_proj"),
    "opt-350m": _published("opt-350m", OPT, "q_proj v_proj"),
    "bloom-560m": _published(
        "bloom-560m",
        "query_key_value dense dense_h_to_4h dense_4h_to_h",
        "query_key_value",
        embedding_and_head=("word_embeddings", "lm_head"),
    ),
    "gpt-j-6b": _published(
        "gpt-j-6b",
        "q_proj k_proj v_proj out_proj fc_in fc_out",
        "q_proj v_proj",
        embedding_and_head=("wte", "lm_head"),
    ),
    "mpt-7b": _published("mpt-7b", "Wqkv out_proj up_proj down_proj", "Wqkv", embedding_and_head=("wte", "lm_head")),
    "starcoder2-3b": _published("starcoder2-3b", "q_proj k_proj v_proj o_proj c_fc c_proj", "q_proj v_proj"),
    **{
        name: _like_llama(name)
        for name in (
            "command-r",
            "gemma-2b",
            "stablelm-3b",
            "smollm3-3b",
            "seed-oss-36b",
            "like-granite",
            "like-ministral",
        )
    },
    "distilbert-base": _classifier(
        "distilbert-base", "q_lin k_lin v_lin out_lin lin1 lin2", "q_lin v_lin", attention_dropout="attention_dropout"
    ),
    "deberta-v3-base": _classifier("deberta-v3-base", "query_proj key_proj value_proj dense", "query_proj value_proj"),
    "modernbert-base": _classifier(
        "modernbert-base",
        "Wqkv Wo Wi",
        "Wqkv",
        attention_dropout="attention_dropout",
        embedding_and_head=("tok_embeddings",),
    ),
    **{
        name: _like_bert(name)
        for name in (
            "electra-base",
            "electra-small",
            "like-ernie",
            "megatron-bert-345m",
            "roberta-base",
            "xlm-roberta-base",
            "xlm-roberta-xl",
            "camembert-base",
            "data2vec-text-base",
            "like-roberta-prelayernorm",
        )
    },
    "mt5-base": _seq2seq("mt5-base", "q k v o wi_0 wi_1 wo", "q v"),
    "umt5-small": _seq2seq("umt5-small", "q k v o wi_0 wi_1 wo", "q v"),
    "bart-base": _seq2seq("bart-base", OPT, "q_proj v_proj"),
    "mbart-large": _seq2seq("mbart-large", OPT, "q_proj v_proj"),
}


def build(name: str, *, dtype: torch.dtype, attention: str, layers: int | None = None) -> torch.nn.Module:
    """Make the model on the meta device, with fewer layers if asked."""
    architecture = ARCHITECTURES[name]
    config = _config(architecture)
    if attention != EAGER and hasattr(config, architecture.attention_dropout):
        setattr(config, architecture.attention_dropout, 0.0)
    if layers:
        config.num_hidden_layers = layers
        for decoder in ("num_decoder_layers", "decoder_layers"):
            if hasattr(config, decoder):
                setattr(config, decoder, layers)
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]
    config.use_cache = False
    if architecture.model == CLASSIFIER:
        config.problem_type = "single_label_classification"  # else DeBERTa looks at the labels' values
    with torch.device("meta"):
        model = getattr(transformers, architecture.model).from_config(
            config, dtype=dtype, attn_implementation=attention
        )
    if architecture.values.get("tie_word_embeddings") is False:
        _untie(model)
    return model


def _untie(model: Any) -> None:
    """Give the head its own weights, as loading does where a checkpoint has them: T5's config itself ties always."""
    head = model.get_output_embeddings()
    if head.weight is model.get_input_embeddings().weight:
        head.weight = torch.nn.Parameter(torch.empty_like(head.weight))


def _config(architecture: Architecture) -> Any:
    if not architecture.config:  # published: told by its `model_type`
        return transformers.AutoConfig.for_model(**architecture.values)
    phi3small.register()
    qwen.register()
    own = {each.__name__: each for each in (Phi3SmallConfig, qwen.QWenConfig)}
    made = own.get(architecture.config) or getattr(transformers, architecture.config)
    return made(**architecture.values)
