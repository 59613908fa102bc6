"""How an architecture names and sizes the matrices of one layer: what adapters attach to.

Names are those of Hugging Face's modules, because an adapter's targets are matched against them.

Not here: the numbers of a model (`planning.catalog.shape`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Layout(enum.StrEnum):
    """Families of module names."""

    LLAMA = "llama"
    PHI3 = "phi3"
    PHI3_SMALL = "phi3small"
    PHI = "phi"
    FALCON = "falcon"
    GPT_NEOX = "gpt-neox"
    QWEN = "qwen"
    GPT2 = "gpt2"
    GPTJ = "gptj"
    MPT = "mpt"
    OPT = "opt"
    BERT = "bert"
    DISTILBERT = "distilbert"
    DEBERTA = "deberta"
    MODERNBERT = "modernbert"
    T5 = "t5"
    BART = "bart"


class Group(enum.StrEnum):
    """Where in a layer a matrix stands. Matrices of one group read the same input."""

    ATTENTION_IN = "attention_in"
    ATTENTION_OUT = "attention_out"
    MLP_IN = "mlp_in"
    MLP_OUT = "mlp_out"
    CROSS_QUERY = "cross_query"
    CROSS_MEMORY = "cross_memory"
    CROSS_OUT = "cross_out"


@dataclass(frozen=True, slots=True)
class Linear:
    """One matrix of a layer."""

    path: str
    """Where the module stands in its layer, such as `self_attn.q_proj`."""
    width_in: int
    width_out: int
    group: Group
    name: str
    """What targets usually call it, such as `q_proj`; several matrices of a layer can share a name."""

    @property
    def weights(self) -> int:
        """Values of the matrix, without its bias."""
        return self.width_in * self.width_out

    def matches(self, target: str) -> bool:
        """Tell whether PEFT would adapt the module for that target: its path is the target or ends with it."""
        return f".{self.path}".endswith(f".{target}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """What the sizes of a layer's matrices are made of."""

    hidden: int
    query: int
    kv: int
    inner: int
    gated: bool


def linears(layout: Layout, widths: Widths) -> tuple[Linear, ...]:
    """Return the matrices of one layer, in the order in which they compute."""
    return tuple(_linear(row, _sizes(widths)) for row in _rows(layout, gated=widths.gated))


def decoder_linears(layout: Layout, widths: Widths) -> tuple[Linear, ...]:
    """Return the matrices of one layer that also attends to an encoder's output."""
    return tuple(
        _linear(row, _sizes(widths)) for row in (*_rows(layout, gated=widths.gated), *_CROSS_ATTENTION[layout])
    )


_Row = tuple[str, str, str, Group]


def _rows(layout: Layout, *, gated: bool) -> tuple[_Row, ...]:
    return _ATTENTION[layout] + (_MLP if gated else _PLAIN_MLP).get(layout, _MLP[layout])


def _sizes(widths: Widths) -> Mapping[str, int]:
    return {
        "hidden": widths.hidden,
        "query": widths.query,
        "kv": widths.kv,
        "query+2kv": widths.query + 2 * widths.kv,
        "inner": widths.inner,
        "2inner": 2 * widths.inner,
    }


def _linear(row: _Row, sizes: Mapping[str, int]) -> Linear:
    path, width_in, width_out, group = row
    name = path if path in _FULL_NAMES else path.rpartition(".")[2]
    return Linear(path, sizes[width_in], sizes[width_out], group, name)


def _attention(names: str, reads: tuple[str, str, str], out: str) -> tuple[_Row, ...]:
    query, key, value = (names.format(name) for name in reads)
    return (
        (query, "hidden", "query", Group.ATTENTION_IN),
        (key, "hidden", "kv", Group.ATTENTION_IN),
        (value, "hidden", "kv", Group.ATTENTION_IN),
        (names.format(out), "query", "hidden", Group.ATTENTION_OUT),
    )


def _fused(names: str, together: str, out: str) -> tuple[_Row, ...]:
    return (
        (names.format(together), "hidden", "query+2kv", Group.ATTENTION_IN),
        (names.format(out), "query", "hidden", Group.ATTENTION_OUT),
    )


def _mlp(names: str, up: tuple[str, ...], down: str, *, width: str = "inner") -> tuple[_Row, ...]:
    return (
        *((names.format(name), "hidden", width, Group.MLP_IN) for name in up),
        (names.format(down), "inner", "hidden", Group.MLP_OUT),
    )


_FULL_NAMES = frozenset({"attention.output.dense", "intermediate.dense", "output.dense", "attn.Wo", "mlp.Wo"})
"""Modules whose last word says nothing: BERT calls three of its matrices `dense`, ModernBERT two `Wo`."""

_ATTENTION: Mapping[Layout, tuple[_Row, ...]] = {
    Layout.LLAMA: _attention("self_attn.{}", ("q_proj", "k_proj", "v_proj"), "o_proj"),
    Layout.PHI3: _fused("self_attn.{}", "qkv_proj", "o_proj"),
    Layout.PHI3_SMALL: _fused("self_attn.{}", "query_key_value", "dense"),
    Layout.PHI: _attention("self_attn.{}", ("q_proj", "k_proj", "v_proj"), "dense"),
    Layout.FALCON: _fused("self_attention.{}", "query_key_value", "dense"),
    Layout.GPT_NEOX: _fused("attention.{}", "query_key_value", "dense"),
    Layout.QWEN: _fused("attn.{}", "c_attn", "c_proj"),
    Layout.GPT2: _fused("attn.{}", "c_attn", "c_proj"),
    Layout.GPTJ: _attention("attn.{}", ("q_proj", "k_proj", "v_proj"), "out_proj"),
    Layout.MPT: _fused("attn.{}", "Wqkv", "out_proj"),
    Layout.OPT: _attention("self_attn.{}", ("q_proj", "k_proj", "v_proj"), "out_proj"),
    Layout.BERT: _attention("attention.{}", ("self.query", "self.key", "self.value"), "output.dense"),
    Layout.DISTILBERT: _attention("attention.{}", ("q_lin", "k_lin", "v_lin"), "out_lin"),
    Layout.DEBERTA: _attention("attention.{}", ("self.query_proj", "self.key_proj", "self.value_proj"), "output.dense"),
    Layout.MODERNBERT: _fused("attn.{}", "Wqkv", "Wo"),
    Layout.T5: _attention("SelfAttention.{}", ("q", "k", "v"), "o"),
    Layout.BART: _attention("self_attn.{}", ("q_proj", "k_proj", "v_proj"), "out_proj"),
}

_MLP: Mapping[Layout, tuple[_Row, ...]] = {
    Layout.LLAMA: _mlp("mlp.{}", ("gate_proj", "up_proj"), "down_proj"),
    Layout.PHI3: _mlp("mlp.{}", ("gate_up_proj",), "down_proj", width="2inner"),
    Layout.PHI3_SMALL: _mlp("mlp.{}", ("up_proj",), "down_proj", width="2inner"),
    Layout.PHI: _mlp("mlp.{}", ("fc1",), "fc2"),
    Layout.FALCON: _mlp("mlp.{}", ("dense_h_to_4h",), "dense_4h_to_h"),
    Layout.GPT_NEOX: _mlp("mlp.{}", ("dense_h_to_4h",), "dense_4h_to_h"),
    Layout.QWEN: _mlp("mlp.{}", ("w1", "w2"), "c_proj"),
    Layout.GPT2: _mlp("mlp.{}", ("c_fc",), "c_proj"),
    Layout.GPTJ: _mlp("mlp.{}", ("fc_in",), "fc_out"),
    Layout.MPT: _mlp("ffn.{}", ("up_proj",), "down_proj"),
    Layout.OPT: _mlp("{}", ("fc1",), "fc2"),
    Layout.BERT: _mlp("{}", ("intermediate.dense",), "output.dense"),
    Layout.DISTILBERT: _mlp("ffn.{}", ("lin1",), "lin2"),
    Layout.DEBERTA: _mlp("{}", ("intermediate.dense",), "output.dense"),
    Layout.MODERNBERT: _mlp("mlp.{}", ("Wi",), "Wo", width="2inner"),
    Layout.T5: _mlp("DenseReluDense.{}", ("wi_0", "wi_1"), "wo"),
    Layout.BART: _mlp("{}", ("fc1",), "fc2"),
}

_PLAIN_MLP: Mapping[Layout, tuple[_Row, ...]] = {
    Layout.LLAMA: _mlp("mlp.{}", ("c_fc",), "c_proj"),
    Layout.T5: _mlp("DenseReluDense.{}", ("wi",), "wo"),
}
"""Families that come with a gate and without: what they are without."""


def _cross(names: str, reads: tuple[str, str, str], out: str) -> tuple[_Row, ...]:
    query, key, value = (names.format(name) for name in reads)
    return (
        (query, "hidden", "query", Group.CROSS_QUERY),
        (key, "hidden", "kv", Group.CROSS_MEMORY),
        (value, "hidden", "kv", Group.CROSS_MEMORY),
        (names.format(out), "query", "hidden", Group.CROSS_OUT),
    )


_CROSS_ATTENTION: Mapping[Layout, tuple[_Row, ...]] = {
    Layout.T5: _cross("EncDecAttention.{}", ("q", "k", "v"), "o"),
    Layout.BART: _cross("encoder_attn.{}", ("q_proj", "k_proj", "v_proj"), "out_proj"),
}
