"""How a model's shape is read from its Hugging Face config.json, whatever words its architecture uses.

What a config leaves out is what transformers takes for it.

Not here: what an architecture takes for granted (`planning.catalog.families`), the models that are known by name
(`planning.catalog.models`).
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass

from finetune_operator.planning.catalog import families
from finetune_operator.planning.catalog.families import Family
from finetune_operator.planning.catalog.layouts import Layout
from finetune_operator.planning.catalog.shape import Biases, ModelKind, ModelShape


class CatalogError(ValueError):
    """A config that no shape can be read from."""


HIDDEN = ("hidden_size", "n_embd", "n_embed", "d_model", "dim")
EMBEDDING = ("embedding_size", "word_embed_proj_dim")
LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "encoder_layers")
HEADS = ("num_attention_heads", "n_head", "num_heads", "n_heads", "encoder_attention_heads")
KV_HEADS = ("num_key_value_heads", "num_kv_heads")
HEAD_DIM = ("head_dim", "d_kv")
INNER = (
    *("intermediate_size", "n_inner", "d_ff", "ffn_dim", "ff_intermediate_size", "ffn_hidden_size"),
    *("hidden_dim", "encoder_ffn_dim"),
)
VOCABULARY = ("vocab_size",)
POSITIONS = ("max_position_embeddings", "seq_length", "n_positions", "max_sequence_length", "max_seq_len")
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")


@dataclass(frozen=True, slots=True)
class _Config:
    """A config.json with what its family takes for granted."""

    given: Mapping[str, object]
    family: Family

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


def from_config(config: Mapping[str, object], *, name: str | None = None) -> ModelShape:
    """Return the shape that a config.json describes.

    Raises:
        CatalogError: a number is missing or is none, or the model is a mixture of experts.
    """
    nested = config.get("text_config")
    given = ChainMap(dict(nested), dict(config)) if isinstance(nested, Mapping) else config
    model_type = str(given.get("model_type") or "llama")
    family = families.family(model_type)
    read = _Config(given, family)
    if read.known(EXPERTS):
        raise CatalogError(
            f"config.json: model_type {model_type} is a mixture of experts, which no plan can be made for"
        )
    heads = read.number(HEADS)
    hidden = read.number(HIDDEN)
    positions, learned = _positions(read)
    return ModelShape(
        name=name or str(given.get("_name_or_path") or model_type),
        source="config.json",
        model_type=model_type,
        kind=family.kind,
        layout=family.layout,
        hidden=hidden,
        embedding=_embedding(read, hidden),
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


def _embedding(read: _Config, hidden: int) -> int | None:
    """Return the width of the token table, where it is not that of the layers."""
    said = read.known(EMBEDDING) if read.family.factorised else None
    return None if said == hidden else said


def _decoder_layers(read: _Config) -> int:
    return (
        read.number(("num_decoder_layers", "decoder_layers", *LAYERS))
        if read.family.kind is ModelKind.ENCODER_DECODER
        else 0
    )


def _kv_heads(read: _Config, heads: int) -> int:
    """Return the key and value heads; a Falcon of the first kind has one, whatever it says of more."""
    if read.family.layout is Layout.FALCON and not read.says("new_decoder_architecture", usually=False):
        one = read.given.get("model_type") == "falcon" and read.says("multi_query", usually=True)
        return 1 if one else heads
    return read.known(KV_HEADS) or heads


def _inner(read: _Config, hidden: int) -> int:
    """Return the width inside the MLP; the first Qwen counts its two gates together."""
    if read.family.widens:
        return read.known(INNER) or (read.known(("expansion_ratio",)) or 4) * hidden
    return read.number(INNER) // (2 if read.family.layout is Layout.QWEN else 1)


def _positions(read: _Config) -> tuple[int, int]:
    """Return how long a sequence may be, and the rows of learned tables: positions, distances and token types."""
    said, family = read.number(POSITIONS), read.family
    if family.layout is Layout.DEBERTA:
        return said, _distances(read, said) + (said if read.says("position_biased_input", usually=True) else 0)
    types = (read.known(("type_vocab_size",)) or family.token_types) if family.token_types else 0
    rows = family.position_tables * (said + family.rows_before)
    return said - family.unused_positions, rows + types


def _distances(read: _Config, positions: int) -> int:
    """Return the rows of DeBERTa's table of distances, to the left and to the right."""
    if not read.says("relative_attention", usually=False):
        return 0
    buckets = read.given.get("position_buckets")
    return 2 * (buckets if isinstance(buckets, int) and buckets > 0 else positions)


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
