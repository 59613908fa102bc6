"""How a model's shape is read from its Hugging Face config.json, whatever words its architecture uses.

What a config leaves out is what transformers takes for it. An architecture that is not known here counts as a Llama.

Not here: the models that are known by name (`planning.catalog.models`).
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from finetune_operator.planning.catalog.layouts import Layout
from finetune_operator.planning.catalog.shape import Biases, ModelKind, ModelShape, Norm


class CatalogError(ValueError):
    """A config that no shape can be read from."""


HIDDEN = ("hidden_size", "n_embd", "d_model")
LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
HEADS = ("num_attention_heads", "n_head", "num_heads")
KV_HEADS = ("num_key_value_heads", "num_kv_heads")
HEAD_DIM = ("head_dim", "d_kv")
INNER = ("intermediate_size", "n_inner", "d_ff", "ffn_dim", "ff_intermediate_size", "ffn_hidden_size")
VOCABULARY = ("vocab_size",)
POSITIONS = ("max_position_embeddings", "seq_length", "n_positions", "max_sequence_length")
EXPERT_FAMILIES = frozenset({"mixtral", "dbrx", "deepseek_v2", "deepseek_v3", "gpt_oss", "jamba", "llama4"})
"""Architectures with several MLPs a layer, beside those that say so in their name."""

EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
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
    numbers: Mapping[str, int] = field(default_factory=dict)


_LLAMA = _Family(layout=Layout.LLAMA)
_QWEN2 = _Family(layout=Layout.LLAMA, biases=Biases.ATTENTION_IN)
_GEMMA2 = _Family(layout=Layout.LLAMA, tied=True, norms_per_layer=4, numbers={"head_dim": 256})
_GEMMA3 = _Family(
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
_BERT = _Family(
    layout=Layout.BERT, kind=ModelKind.ENCODER, norm=Norm.LAYERNORM, gated=False, tied=True, biases=Biases.ALL
)
_T5 = _Family(
    layout=Layout.T5,
    kind=ModelKind.ENCODER_DECODER,
    gated=False,
    tied=True,
    numbers={"d_kv": 64, "max_position_embeddings": 512},
)


_PLAIN = _Family(layout=Layout.GPT_NEOX, norm=Norm.LAYERNORM, gated=False, biases=Biases.ALL, widens=True)
"""Decoders as they were before Llama."""
_FALCON = replace(_PLAIN, layout=Layout.FALCON, tied=True, numbers={"max_position_embeddings": 2048})

_FAMILIES: Mapping[str, _Family] = {
    "qwen2": _QWEN2,
    "qwen2_vl": _QWEN2,
    "qwen2_5_vl": _QWEN2,
    "qwen2_5_vl_text": _QWEN2,
    "qwen3": _Family(layout=Layout.LLAMA, qk_norm=True, numbers={"head_dim": 128}),
    "qwen": _Family(layout=Layout.QWEN, biases=Biases.ATTENTION_IN),
    "gemma": _Family(layout=Layout.LLAMA, tied=True, numbers={"head_dim": 256}),
    "gemma2": _GEMMA2,
    "gemma3": _GEMMA3,
    "gemma3_text": _GEMMA3,
    "phi3": _Family(layout=Layout.PHI3),
    "phi3small": _Family(layout=Layout.PHI3_SMALL, norm=Norm.LAYERNORM, tied=True, biases=Biases.ALL),
    "phi": replace(_PLAIN, layout=Layout.PHI, norms_per_layer=1),
    "stablelm": _Family(layout=Layout.LLAMA, norm=Norm.LAYERNORM),
    "falcon": replace(_FALCON, biases=Biases.NONE),
    "bloom": _FALCON,
    "gpt_neox": _PLAIN,
    "starcoder2": replace(_PLAIN, layout=Layout.LLAMA, tied=True),
    "gpt2": replace(_PLAIN, layout=Layout.GPT2, tied=True),
    "opt": replace(_PLAIN, layout=Layout.OPT, tied=True),
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "t5": _T5,
}


@dataclass(frozen=True, slots=True)
class _Config:
    """A config.json with what its family takes for granted."""

    given: Mapping[str, object]
    family: _Family

    def known(self, keys: tuple[str, ...]) -> int | None:
        """Return the first of these numbers that is there and is not null."""
        for key in keys:
            value = self.given.get(key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise CatalogError(f"config.json: {key} must be a whole number above 0, but is {value!r}")
            return value
        return next((self.family.numbers[key] for key in keys if key in self.family.numbers), None)

    def number(self, keys: tuple[str, ...]) -> int:
        """Return the first of these numbers that is there, or say that none is."""
        found = self.known(keys)
        if found is None:
            others = f" (or {', '.join(keys[1:])})" if keys[1:] else ""
            raise CatalogError(f"config.json: {keys[0]}{others} is missing")
        return found

    def says(self, key: str, *, usually: bool) -> bool:
        """Return a switch, as it usually stands where it is not set."""
        value = self.given.get(key)
        return usually if value is None else bool(value)


def has_experts(model_type: str) -> bool:
    """Whether an architecture has several MLPs a layer, of which each token passes a few."""
    return "moe" in model_type or model_type in EXPERT_FAMILIES


def from_config(config: Mapping[str, object], *, name: str | None = None) -> ModelShape:
    """Return the shape that a config.json describes.

    Raises:
        CatalogError: a number is missing or is none, or the model is a mixture of experts.
    """
    nested = config.get("text_config")
    given = ChainMap(dict(nested), dict(config)) if isinstance(nested, Mapping) else config
    model_type = str(given.get("model_type") or "llama")
    family = _FAMILIES.get(model_type, _LLAMA)
    read = _Config(given, family)
    if read.known(EXPERTS):
        raise CatalogError(
            f"config.json: model_type {model_type} is a mixture of experts, which no plan can be made for"
        )
    heads = read.number(HEADS)
    hidden = read.number(HIDDEN)
    positions, learned = _positions(read, model_type)
    return ModelShape(
        name=name or str(given.get("_name_or_path") or model_type),
        source="config.json",
        model_type=model_type,
        kind=family.kind,
        layout=family.layout,
        hidden=hidden,
        layers=read.number(LAYERS),
        decoder_layers=_decoder_layers(read),
        heads=heads,
        kv_heads=_kv_heads(read, heads),
        head_dim=read.known(HEAD_DIM) or hidden // heads,
        intermediate=_inner(read, hidden),
        vocabulary=read.number(VOCABULARY),
        max_positions=positions,
        learned_positions=learned,
        gated=family.gated or str(given.get("feed_forward_proj")).startswith("gated"),
        tied=read.says("tie_word_embeddings", usually=family.tied),
        norm=family.norm,
        norms_per_layer=_norms(read),
        qk_norm=family.qk_norm,
        biases=_biases(read),
        sliding_window=_window(read, positions),
    )


def _decoder_layers(read: _Config) -> int:
    return read.number(("num_decoder_layers", *LAYERS)) if read.family.kind is ModelKind.ENCODER_DECODER else 0


def _kv_heads(read: _Config, heads: int) -> int:
    """Return the key and value heads; a Falcon of the first kind has one, whatever it says of more."""
    if read.family.layout is Layout.FALCON and not read.says("new_decoder_architecture", usually=False):
        one = read.given.get("model_type") == "falcon" and read.says("multi_query", usually=True)
        return 1 if one else heads
    return read.known(KV_HEADS) or heads


def _inner(read: _Config, hidden: int) -> int:
    """Return the width inside the MLP; the first Qwen counts its two gates together."""
    if read.family.widens:
        return read.known(INNER) or 4 * hidden
    return read.number(INNER) // (2 if read.family.layout is Layout.QWEN else 1)


def _positions(read: _Config, model_type: str) -> tuple[int, int]:
    """Return how long a sequence may be, and the rows of learned tables: positions and token types."""
    said = read.number(POSITIONS)
    if read.family.layout is Layout.BERT:
        # RoBERTa counts from behind the padding token, so that two of its rows are never used
        unused = 0 if model_type == "bert" else 2
        return said - unused, said + (read.known(("type_vocab_size",)) or 2)
    if read.family.layout is Layout.OPT:
        return said, said + 2
    return said, said if read.family.layout is Layout.GPT2 else 0


def _window(read: _Config, positions: int) -> int | None:
    """Return how far attention reaches, where it is less than everything."""
    said = read.known(("sliding_window",)) if read.says("use_sliding_window", usually=True) else None
    return said if said is not None and said < positions else None


def _norms(read: _Config) -> int:
    """Return the norms of a layer; a Falcon has one where MLP and attention run side by side, unless it says more."""
    if read.given.get("model_type") == "falcon" and read.says("parallel_attn", usually=True):
        two = read.says("new_decoder_architecture", usually=False)
        return read.known(("num_ln_in_parallel_attn",)) or (2 if two else 1)
    return read.family.norms_per_layer


def _biases(read: _Config) -> Biases:
    if read.says("bias", usually=False):
        return Biases.ALL
    if read.says("use_qkv_bias", usually=False) or read.says("attention_bias", usually=False):
        return Biases.ATTENTION_IN if read.family.biases is Biases.NONE else read.family.biases
    return read.family.biases
