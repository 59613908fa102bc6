"""Architectures by the `model_type` of their config.json: what all models of one share.

Not here: reading a config (`planning.catalog.hf_config`), the modules of a layer (`planning.catalog.layouts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from finetune_operator.planning.catalog.layouts import Layout
from finetune_operator.planning.catalog.shape import Biases, ModelKind, Norm

EXPERT_FAMILIES = frozenset({"mixtral", "dbrx", "deepseek_v2", "deepseek_v3", "gpt_oss", "jamba", "llama4"})
"""Architectures with several MLPs a layer, beside those that say so in their name."""

OWN_CODE = frozenset({"qwen"})
"""Architectures whose modules come with a checkpoint, not with transformers: to load one means to run its code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What all models of one `model_type` share; `numbers` are those that their configs may leave out."""

    layout: Layout
    kind: ModelKind = ModelKind.DECODER
    norm: Norm = Norm.RMSNORM
    gated: bool = True
    tied: bool = False
    biases: Biases = Biases.NONE
    norms_per_layer: int = 2
    qk_norm: bool = False
    widens: bool = False
    """Whether the MLP is four times as wide as the rest where nothing else is said."""
    position_tables: int = 0
    """Tables of learned positions."""
    rows_before: int = 0
    """Rows of such a table that a config does not count."""
    unused_positions: int = 0
    """Positions that a config counts and no sequence has: RoBERTa's begin behind the padding token."""
    token_types: int = 0
    """Rows of a table of token types, where nothing else is said."""
    factorised: bool = False
    """Whether the token table may be narrower than the layers, with a projection between."""
    numbers: Mapping[str, int] = field(default_factory=dict)


_LLAMA = Family(layout=Layout.LLAMA)
_GEMMA2 = Family(layout=Layout.LLAMA, tied=True, norms_per_layer=4, numbers={"head_dim": 256})
_GEMMA3 = Family(
    layout=Layout.LLAMA,
    tied=True,
    norms_per_layer=4,
    qk_norm=True,
    numbers={
        "head_dim": 256,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 262_208,
        "max_position_embeddings": 131_072,
    },
)
_BERT = Family(
    layout=Layout.BERT,
    kind=ModelKind.ENCODER,
    norm=Norm.LAYERNORM,
    gated=False,
    tied=True,
    biases=Biases.ALL,
    position_tables=1,
    token_types=2,
)
_ROBERTA = replace(_BERT, unused_positions=2)
_BART = Family(
    layout=Layout.BART,
    kind=ModelKind.ENCODER_DECODER,
    norm=Norm.LAYERNORM,
    gated=False,
    tied=True,
    biases=Biases.ALL,
    position_tables=2,
    rows_before=2,
)
_T5 = Family(
    layout=Layout.T5,
    kind=ModelKind.ENCODER_DECODER,
    gated=False,
    tied=True,
    numbers={"d_kv": 64, "max_position_embeddings": 512},
)
_MT5 = replace(_T5, gated=True)

_PLAIN = Family(layout=Layout.GPT_NEOX, norm=Norm.LAYERNORM, gated=False, biases=Biases.ALL, widens=True)
"""Decoders as they were before Llama."""
_FALCON = replace(_PLAIN, layout=Layout.FALCON, tied=True, numbers={"max_position_embeddings": 2048})

FAMILIES: Mapping[str, Family] = {
    "qwen2": Family(layout=Layout.LLAMA, biases=Biases.ATTENTION_IN),
    "qwen3": Family(layout=Layout.LLAMA, qk_norm=True, numbers={"head_dim": 128}),
    "qwen": Family(layout=Layout.QWEN, biases=Biases.ATTENTION_IN),
    "gemma": Family(layout=Layout.LLAMA, tied=True, numbers={"head_dim": 256}),
    "gemma2": _GEMMA2,
    "gemma3": _GEMMA3,
    "gemma3_text": _GEMMA3,
    "phi3": Family(layout=Layout.PHI3),
    "phi3small": Family(layout=Layout.PHI3_SMALL, norm=Norm.LAYERNORM, tied=True, biases=Biases.ALL),
    "phi": replace(_PLAIN, layout=Layout.PHI, norms_per_layer=1),
    "stablelm": Family(layout=Layout.LLAMA, norm=Norm.LAYERNORM),
    "falcon": replace(_FALCON, biases=Biases.NONE),
    "bloom": _FALCON,
    "gpt_neox": _PLAIN,
    "gptj": replace(_PLAIN, layout=Layout.GPTJ, norms_per_layer=1, biases=Biases.NONE),
    "mpt": replace(_PLAIN, layout=Layout.MPT, tied=True, biases=Biases.NONE),
    "starcoder2": replace(_PLAIN, layout=Layout.LLAMA, tied=True),
    "gpt2": replace(_PLAIN, layout=Layout.GPT2, tied=True, position_tables=1),
    "opt": replace(_PLAIN, layout=Layout.OPT, tied=True, position_tables=1, rows_before=2, factorised=True),
    "cohere": Family(layout=Layout.LLAMA, norms_per_layer=1, tied=True),
    "smollm3": replace(_LLAMA, tied=True),
    **dict.fromkeys(("llama", "mistral", "ministral", "granite", "seed_oss"), _LLAMA),
    **dict.fromkeys(("bert", "ernie", "megatron-bert"), _BERT),
    "electra": replace(_BERT, factorised=True),
    **dict.fromkeys(("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert"), _ROBERTA),
    **dict.fromkeys(("roberta-prelayernorm", "data2vec-text"), _ROBERTA),
    "distilbert": replace(_BERT, layout=Layout.DISTILBERT, token_types=0),
    "deberta-v2": replace(_BERT, layout=Layout.DEBERTA, token_types=0),
    "modernbert": replace(
        _BERT,
        layout=Layout.MODERNBERT,
        gated=True,
        biases=Biases.NONE,
        position_tables=0,
        token_types=0,
        numbers={"sliding_window": 128},
    ),
    "t5": _T5,
    "mt5": _MT5,
    "umt5": _MT5,
    "bart": _BART,
    "mbart": _BART,
}


def family(model_type: str) -> Family:
    """Return the family of an architecture; one that is not known here counts as a Llama."""
    return FAMILIES.get(model_type, _LLAMA)


def is_known(model_type: str) -> bool:
    """Whether an architecture's modules are known, rather than taken for a Llama's."""
    return model_type in FAMILIES


def has_experts(model_type: str) -> bool:
    """Whether an architecture has several MLPs a layer, of which each token passes a few."""
    return "moe" in model_type or model_type in EXPERT_FAMILIES


def runs_own_code(model_type: str) -> bool:
    """Whether a model of this architecture is loaded by running code that comes with it."""
    return model_type in OWN_CODE
