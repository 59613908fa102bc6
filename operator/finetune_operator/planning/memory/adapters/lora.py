"""LoRA and DoRA: weights that learn, and what the backward pass keeps for them.

`a` is a matrix's input width, `b` its output width. Parameters are PEFT's own counts (tests/fake).

Not here: PEFT's other adapters (`planning.memory.adapters.peft`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from finetune_operator.planning.catalog import Group, Linear, ModelKind, ModelShape
from finetune_operator.planning.memory import traits
from finetune_operator.planning.memory.workload import Adapter

ALL_LINEAR = "all-linear"
DORA_SLOWDOWN = 1.23
"""DoRA's time of a step against LoRA's (PEFT's benchmark, Llama-3.2-3B on an L40S: 4,346 and 3,525 tokens a second)."""

EMBEDDINGS = frozenset({"embed_tokens", "lm_head", "wte", "word_embeddings", "embed_in", "embed_out", "shared"})
"""Names of embeddings and output heads in PEFT's modules_to_save."""

HEADS = ("lm_head", "embed_out")
"""Names of output heads, which are adapted like a matrix where a software's loss asks the module for logits."""

KEPT_ANYWAY = frozenset({Group.ATTENTION_OUT, Group.CROSS_OUT})
"""Matrices that read what the attention's kernel keeps."""

KEPT_BY_RELU = KEPT_ANYWAY | {Group.MLP_OUT}
"""The same, and those that read what such an activation keeps."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The matrices that are adapted: of one layer of each stack, with the number of such layers."""

    stacks: tuple[tuple[tuple[Linear, ...], int], ...]

    @property
    def linears(self) -> tuple[Linear, ...]:
        """Every adapted matrix, one layer of each stack."""
        return tuple(linear for linears, _layers in self.stacks for linear in linears)

    @property
    def layers(self) -> int:
        """Layers of all stacks."""
        return sum(layers for _linears, layers in self.stacks)

    def total(self, size: Callable[[int, int], float]) -> int:
        """Sum a size over the matrices of all layers."""
        return round(
            sum(layers * size(one.width_in, one.width_out) for linears, layers in self.stacks for one in linears)
        )

    def each(self, size: Callable[[int, int], float]) -> int:
        """Sum a size over the matrices of one layer, the mean of the stacks."""
        return round(self.total(size) / self.layers)

    def most(self, size: Callable[[int, int], float]) -> int:
        """Return the largest size of a matrix."""
        return round(max(size(one.width_in, one.width_out) for one in self.linears))

    def of(self, *groups: Group) -> Targets:
        """Return those of them that stand in one of these places."""
        return Targets(
            tuple((tuple(one for one in linears if one.group in groups), layers) for linears, layers in self.stacks)
        )


def default_targets(shape: ModelShape) -> tuple[str, ...]:
    """Return the layers that get a LoRA adapter when the user names none: of an encoder query and value."""
    if shape.kind is not ModelKind.ENCODER:
        return (ALL_LINEAR,)
    inward = [one.name for one in shape.linears if one.group is Group.ATTENTION_IN]
    return tuple(dict.fromkeys((inward[0], inward[-1])))


def targets(shape: ModelShape, names: tuple[str, ...]) -> Targets:
    """Return the matrices of those names; names that the architecture does not know count as every linear layer."""
    stacks = ((shape.linears, shape.layers), (shape.decoder_linears, shape.decoder_layers))
    chosen = tuple(
        (tuple(one for one in linears if any(one.matches(name) or one.name == name for name in names)), layers)
        for linears, layers in stacks
        if layers
    )
    known = any(linears for linears, _layers in chosen) and ALL_LINEAR not in names
    return Targets(chosen if known else tuple(stack for stack in stacks if stack[1]))


def lora(shape: ModelShape, rank: int, names: tuple[str, ...], *, dropout: bool = False) -> Adapter:
    """Return LoRA's size: every matrix gets rank * (a + b) weights, and keeps its input and the rank's values."""
    chosen = targets(shape, names)
    parameters = chosen.total(lambda a, b: rank * (a + b))
    return replace(common(shape, chosen, parameters), inner_values=chosen.each(lambda _a, _b: rank), dropout=dropout)


def dora(shape: ModelShape, rank: int, names: tuple[str, ...], *, dropout: bool = False) -> Adapter:
    """Return DoRA's size: LoRA, a magnitude for each output, and both results kept to scale them."""
    chosen = targets(shape, names)
    return replace(
        common(shape, chosen, chosen.total(lambda a, b: rank * (a + b) + b)),
        inner_values=chosen.each(lambda _a, b: rank + b),
        outputs=chosen.each(lambda _a, b: b),
        scaled_in_flight=4 * shape.hidden,
        weight_in_flight=chosen.most(lambda a, b: a * a + 4 * a * b),  # identity; weight, update, scaled, and their sum
        dropout=dropout,
        slowdown=DORA_SLOWDOWN,
    )


def with_embeddings(shape: ModelShape, adapter: Adapter, modules: tuple[str, ...]) -> Adapter:
    """Return the adapter with embeddings trained beside it: each is copied whole (PEFT's modules_to_save)."""
    tables = len(EMBEDDINGS.intersection(name.rsplit(".", 1)[-1] for name in modules))
    return replace(adapter, embeddings=tables * shape.table_parameters)


def with_head(shape: ModelShape, adapter: Adapter, rank: int) -> Adapter:
    """Return the adapter with the output head adapted too, tied or not: it keeps its input and the rank's values."""
    learned = rank * (shape.embedding_width + shape.vocabulary)
    return replace(adapter, parameters=adapter.parameters + learned, head_values=shape.embedding_width + rank)


def common(shape: ModelShape, chosen: Targets, parameters: int) -> Adapter:
    """Return what every adapter of matrices keeps: their inputs."""
    return Adapter(
        parameters=parameters,
        copied_inputs=chosen.each(lambda a, _b: a),
        distinct_inputs=_distinct(chosen, shape),
        after_attention=bool(chosen.of(Group.ATTENTION_OUT).linears),
        uncast_inputs=_distinct(targets(shape, (ALL_LINEAR,)), shape),
        largest_input=max(linear.width_in for linear in chosen.linears),
        largest_output=max(linear.width_out for linear in chosen.linears),
    )


def _distinct(chosen: Targets, shape: ModelShape) -> int:
    """Return the widths of the inputs of a layer, one for each place; the attention's output is kept anyway."""
    size = 0
    kept = KEPT_BY_RELU if shape.layout in traits.RELU else KEPT_ANYWAY
    for linears, layers in chosen.stacks:
        places = {linear.group: linear.width_in for linear in linears if linear.group not in kept}
        if shape.norms_per_layer == 1 and Group.ATTENTION_IN in places:  # side by side, both read the same
            places.pop(Group.MLP_IN, None)
        size += layers * sum(places.values())
    return round(size / chosen.layers)
