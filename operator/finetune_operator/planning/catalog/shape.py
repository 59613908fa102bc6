"""The numbers of a transformer from which its parameters follow, to the last bias.

Not here: where the numbers come from (`planning.catalog.models`, `planning.catalog.hf_config`), what memory they need
(`planning.memory`).
"""

from __future__ import annotations

import enum
import functools
from typing import Any

from pydantic import Field

from finetune_operator.api.v1alpha1.model import ApiModel
from finetune_operator.planning.catalog.layouts import Group, Layout, Linear, Widths, decoder_linears, linears


class ModelKind(enum.StrEnum):
    """How a model reads its input."""

    ENCODER = "encoder"
    DECODER = "decoder"
    ENCODER_DECODER = "encoder-decoder"


class Norm(enum.StrEnum):
    """Kinds of normalization: an rmsnorm has one vector, a layernorm two."""

    RMSNORM = "rmsnorm"
    LAYERNORM = "layernorm"


class Biases(enum.StrEnum):
    """Which matrices have a bias."""

    NONE = "none"
    ATTENTION_IN = "attention-in"
    ALL = "all"


T5_DISTANCES = 32
"""Rows of T5's table of relative distances, one table for the encoder and one for the decoder."""

OWN_DISTANCES = frozenset({"umt5"})
"""Model types that have such a table in every layer."""

NORMED_EMBEDDINGS = frozenset({"bloom"})
"""Model types with a norm behind the embedding, beside that behind the last layer."""

HEADS_WITH_BIAS = frozenset({Layout.PHI, Layout.GPTJ})
"""Families whose output head has a bias."""


def _even_share(known: dict[str, Any]) -> int:
    return int(known["hidden"]) // int(known["heads"])


class ModelShape(ApiModel):
    """One model: what it is called, and its numbers."""

    name: str
    aliases: tuple[str, ...] = ()
    source: str
    published_parameters: int | None = None
    model_type: str
    kind: ModelKind
    layout: Layout
    hidden: int
    embedding: int | None = None
    """Width of the token table, where it is not `hidden`."""
    layers: int
    decoder_layers: int = 0
    heads: int
    kv_heads: int
    head_dim: int = Field(default_factory=_even_share)
    intermediate: int
    vocabulary: int
    max_positions: int
    learned_positions: int = 0
    gated: bool
    tied: bool
    norm: Norm
    norms_per_layer: int = 2
    qk_norm: bool = False
    biases: Biases = Biases.NONE
    sliding_window: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every name it is found under, its own first."""
        return (self.name, *self.aliases)

    @property
    def query_width(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of all key (or value) heads together."""
        return self.kv_heads * self.head_dim

    @property
    def embedding_width(self) -> int:
        """Width of the token table, and of an output head."""
        return self.embedding or self.hidden

    @functools.cached_property
    def linears(self) -> tuple[Linear, ...]:
        """Matrices of one layer; of one of the encoder's layers where there are both kinds."""
        return linears(self.layout, self._widths)

    @functools.cached_property
    def decoder_linears(self) -> tuple[Linear, ...]:
        """Matrices of one layer of the decoder beside an encoder; empty where there is no such decoder."""
        return decoder_linears(self.layout, self._widths) if self.decoder_layers else ()

    @property
    def attention_parameters(self) -> int:
        """Weights of one layer's attention matrices."""
        return sum(one.weights for one in self.linears if one.group in {Group.ATTENTION_IN, Group.ATTENTION_OUT})

    @property
    def mlp_parameters(self) -> int:
        """Weights of one layer's MLP matrices."""
        return sum(one.weights for one in self.linears if one.group in {Group.MLP_IN, Group.MLP_OUT})

    @functools.cached_property
    def linear_parameters(self) -> int:
        """Weights of all layers' matrices: what quantization shrinks."""
        decoder = self.decoder_layers * sum(one.weights for one in self.decoder_linears)
        return self.layers * (self.attention_parameters + self.mlp_parameters) + decoder

    @property
    def embedding_tables(self) -> int:
        """Tables of vocabulary x hidden: a second one is an output head with weights of its own."""
        return 1 if self.tied or self.kind is ModelKind.ENCODER else 2

    @property
    def table_parameters(self) -> int:
        """Weights of one table of the vocabulary."""
        return self.vocabulary * self.embedding_width

    @property
    def embedding_parameters(self) -> int:
        """Weights of the embeddings and, where it is not tied, of the output head."""
        positions = self.learned_positions * (self.embedding_width if self.layout is Layout.BERT else self.hidden)
        return self.embedding_tables * self.table_parameters + positions + self._projections

    @property
    def vector_parameters(self) -> int:
        """Weights of norms, biases and small tables."""
        norm = self.hidden * (2 if self.norm is Norm.LAYERNORM else 1)
        stacks, layers = (2, self.layers + self.decoder_layers) if self.decoder_layers else (1, self.layers)
        apart = stacks + (1 if self.model_type in NORMED_EMBEDDINGS else 0)
        norms = norm * (layers * self.norms_per_layer + self.decoder_layers + apart)
        heads = 2 * self.head_dim * layers if self.qk_norm else 0
        tables = layers if self.model_type in OWN_DISTANCES else stacks
        distances = tables * T5_DISTANCES * self.heads if self.layout is Layout.T5 else 0
        return norms + heads + distances + layers * self._biases + self._head_bias

    @property
    def pooler_parameters(self) -> int:
        """Weights of an encoder's square layer between the first token and a classifier."""
        return self.hidden * (self.hidden + 1) if self.kind is ModelKind.ENCODER else 0

    @functools.cached_property
    def parameters(self) -> int:
        """All weights."""
        return self.linear_parameters + self.embedding_parameters + self.vector_parameters + self.pooler_parameters

    @property
    def _projections(self) -> int:
        """Weights between a table that is narrower than the layers and those: in, and of a decoder out again."""
        if self.embedding is None:
            return 0
        one = self.embedding * self.hidden
        return one + self.hidden if self.kind is ModelKind.ENCODER else 2 * one

    @property
    def _widths(self) -> Widths:
        return Widths(
            hidden=self.hidden, query=self.query_width, kv=self.kv_width, inner=self.intermediate, gated=self.gated
        )

    @property
    def _biases(self) -> int:
        biased = {Biases.NONE: (), Biases.ATTENTION_IN: (Group.ATTENTION_IN,), Biases.ALL: tuple(Group)}[self.biases]
        return sum(one.width_out for one in self.linears if one.group in biased)

    @property
    def _head_bias(self) -> int:
        return self.vocabulary if self.layout in HEADS_WITH_BIAS else 0
