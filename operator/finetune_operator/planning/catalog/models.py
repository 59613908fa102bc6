"""Facts about models: shapes, read once from the package's own data file.

Not here: what memory follows from a shape (`planning.memory`).
"""

from __future__ import annotations

import difflib
import enum
import functools
import importlib.resources

import yaml

from finetune_operator.api.v1alpha1.model import ApiModel


class ModelKind(enum.StrEnum):
    """How a model reads its input."""

    ENCODER = "encoder"
    DECODER = "decoder"


class ModelShape(ApiModel):
    """The numbers of a transformer from which its parameters and its memory follow."""

    name: str
    aliases: tuple[str, ...] = ()
    source: str
    kind: ModelKind
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    max_positions: int
    learned_positions: int
    gated: bool
    tied: bool

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads

    @property
    def kv_width(self) -> int:
        """Width of all key (or value) heads together."""
        return self.kv_heads * self.head_dim

    @property
    def attention_parameters(self) -> int:
        """Weights of one layer's attention: query and output square, key and value by their heads."""
        return 2 * self.hidden * self.hidden + 2 * self.hidden * self.kv_width

    @property
    def mlp_parameters(self) -> int:
        """Weights of one layer's MLP: two matrices, three where it is gated."""
        return (3 if self.gated else 2) * self.hidden * self.intermediate

    @property
    def linear_parameters(self) -> int:
        """Weights of all layers' matrices: what quantization shrinks."""
        return self.layers * (self.attention_parameters + self.mlp_parameters)

    @property
    def embedding_parameters(self) -> int:
        """Weights of the embeddings and, where it is not tied, of the output head."""
        tables = 1 if self.tied or self.kind is ModelKind.ENCODER else 2
        return tables * self.vocabulary * self.hidden + self.learned_positions * self.hidden

    @property
    def parameters(self) -> int:
        """All weights, within a percent: biases and norms are a few vectors a layer."""
        vectors = self.layers * (4 * self.hidden + 2 * self.intermediate)
        return self.linear_parameters + self.embedding_parameters + vectors


@functools.cache
def models() -> tuple[ModelShape, ...]:
    """Return every model of the catalog."""
    text = importlib.resources.files("finetune_operator.planning").joinpath("data/models.yaml").read_text("utf-8")
    return tuple(ModelShape.model_validate(entry) for entry in yaml.safe_load(text))


def find(name: str) -> ModelShape | None:
    """Return the model of that name or alias, letter case aside."""
    wanted = name.casefold()
    for model in models():
        if wanted in (known.casefold() for known in (model.name, *model.aliases)):
            return model
    return None


def nearest(name: str) -> tuple[str, ...]:
    """Return up to three catalog names like the given one, most alike first."""
    names = [known for model in models() for known in (model.name, *model.aliases)]
    return tuple(difflib.get_close_matches(name, names, n=3, cutoff=0.4))
