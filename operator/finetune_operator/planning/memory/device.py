"""Predicts the memory of one process on a GPU by term; `estimate` is the entry.

The peak is the largest of five moments: weights loaded; logits or a layer's gradients as the backward pass starts; its
lowest layer; all gradients at its end; the optimizer's step. The terms are those of that moment, and add up to it.

Not here: bytes at rest (`planning.memory.states`), what a layer keeps (`planning.memory.layers`), a process on a CPU
(`planning.memory.host`).
"""

from __future__ import annotations

from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.planning.catalog import ModelKind, ModelShape
from finetune_operator.planning.memory import layers, traits
from finetune_operator.planning.memory.estimate import MemoryEstimate
from finetune_operator.planning.memory.states import States, dequantized, states
from finetune_operator.planning.memory.workload import Loss, Measured, Workload

GB = 1_000_000_000

CONTEXT = 1 * GB
"""CUDA context, cuBLAS' workspace and loaded kernels of one process (0.3 to 0.6 GB and more on older releases)."""

COMMUNICATION = 500_000_000
"""NCCL's channels of one process, where there is more than one (0.3 to 1 GB)."""

FRAGMENTATION = 0.05
"""Blocks that the caching allocator holds and cannot use, as a part of what is live."""

LOGIT_BYTES = {
    # 16-bit logits, an fp32 copy, its log-softmax or gradient; a shifted copy; no fp32
    Loss.FULL: 12,
    # 16-bit logits; of one chunk of eight an fp32 copy, its gradient and that cast down, as the pass goes through them
    Loss.CHUNKED: 2 + (4 + 4 + 2) / 8,
    Loss.SHIFTED: 16,
    Loss.HALF: 8,
}

PLAIN_LOGIT_VALUES = 3
"""Logits, their log-softmax and its gradient, where nothing lifts them to fp32: T5 leaves that to autocast."""

FUSED_ROWS = 4096
FUSED_COLUMNS = 32768
"""Rows and columns of logits that a fused loss holds at a time, however small the vocabulary (TRL's tile)."""


FINAL_BYTES = 8
"""Bytes a value of the last norm's input and output."""

FLOAT = 4

GRADIENTS_STAGE = 2
"""The ZeRO stage that divides gradients too."""


def estimate(shape: ModelShape, work: Workload) -> MemoryEstimate:
    """Return the predicted peak of one process on its device."""
    held = states(shape, work)
    live = max(_moments(shape, work, held), key=lambda terms: sum(terms.values()))
    constant = CONTEXT + (COMMUNICATION if work.sharding.devices > 1 else 0)
    if work.stack.measured is not Measured.ACTIVE:
        live = {**live, "fragmentation": FRAGMENTATION * sum(live.values())}
    if work.stack.measured is Measured.PROCESS:
        live = {**live, "context": float(constant)}
    return MemoryEstimate(terms=tuple((name, round(size)) for name, size in live.items() if round(size)))


def live_bytes(shape: ModelShape, work: Workload) -> float:
    """Return the bytes of live tensors at the peak, without the allocator's and the context's share."""
    return max(sum(terms.values()) for terms in _moments(shape, work, states(shape, work)))


def _moments(shape: ModelShape, work: Workload, held: States) -> tuple[dict[str, float], ...]:
    rest = {"weights": held.weights, "adapter": held.adapter, "optimizer": held.optimizer, "buffers": held.buffers}
    rest["reference"] = held.reference
    layer = layers.saved(shape, work) * work.tokens + layers.updates(work)
    inside = _inside(shape, work, layer)
    backward = {
        "gradients": held.gradients if work.accumulation > 1 else 0.0,
        **_activations(shape, work, layer, inside),
        "gathered": held.gathered,
        "cast": _cast(shape, work),
    }
    lowest = {
        "gradients": held.gradients * (1.0 if work.accumulation > 1 else _above_lowest(shape, work)),
        **inside,
        "gathered": held.gathered,
    }
    end = {"gradients": held.gradients, "gathered": held.gathered, "last gradient": _last_gradient(shape, work)}
    return (
        {"weights": held.loading},
        {**rest, **backward},
        {**rest, **lowest},
        {**rest, **end},
        {**rest, "gradients": held.gradients, "step": held.step},
    )


def _activations(shape: ModelShape, work: Workload, layer: float, inside: dict[str, float]) -> dict[str, float]:
    """Return what is held when the backward pass needs most: at its start for logits, or inside of the last layer."""
    depth = shape.layers + shape.decoder_layers
    waiting = 0.0 if work.stack.offload_activations else layers.checkpoint(shape, work) * work.tokens
    kept = depth * (waiting if work.gradient_checkpointing else layer)
    others = kept if work.gradient_checkpointing else kept - layer
    top = inside | {"activations": others + inside["activations"], "head gradient": _head_gradient(shape, work)}
    return max({"activations": kept, "logits": _logits(shape, work)}, top, key=lambda terms: sum(terms.values()))


def _inside(shape: ModelShape, work: Workload, layer: float) -> dict[str, float]:
    """Return what is held inside of one layer: all that it keeps, and gradients or a written-out weight in passing."""
    passing, weight = _passing(shape, work), dequantized(shape, work)
    beside = layers.beside_dequantized(shape, work) * work.tokens if weight else 0.0
    if beside + weight > passing:
        return {"activations": layer + beside, "dequantized": weight}
    return {"activations": layer + passing}


def _passing(shape: ModelShape, work: Workload) -> float:
    """Return the bytes in passing inside of a layer: gradients, or a weight that is computed again."""
    passing = max(layers.in_flight(shape, work) * work.tokens, layers.recomputed_weights(work))
    return passing + layers.scaled(work) * work.tokens


def _above_lowest(shape: ModelShape, work: Workload) -> float:
    """Return the part of the gradients that is there when the backward pass comes to the lowest layer."""
    if work.adapter is not None:
        return 1 - 1 / (shape.layers + shape.decoder_layers)
    headed = shape.tied and shape.kind is not ModelKind.ENCODER  # then it has a gradient from the start
    below = sum(one.weights for one in shape.linears) + (0 if headed else shape.table_parameters)
    return max(0.0, 1 - below / shape.parameters)


def _logits(shape: ModelShape, work: Workload) -> float:
    """Return the bytes of the loss and of the last norm below it."""
    tokens, last = work.tokens, FINAL_BYTES * work.tokens * shape.hidden
    if work.loss is Loss.NONE:
        return 0.0
    if work.adapter is not None:
        last += work.adapter_width * work.adapter.head_values * tokens
    if work.loss is Loss.FUSED:
        tile = work.width * min(tokens, FUSED_ROWS) * FUSED_COLUMNS
        head = 0
        if work.trains_head:  # its gradient in fp32, and then as the weight is
            head = (FLOAT + (work.trained_width if work.trained_width < FLOAT else 0)) * shape.table_parameters
        return float(tile + head + last + 2 * FLOAT * tokens * shape.hidden)
    capped = work.width if shape.model_type in traits.CAPPED else 0
    lifts = shape.kind is not ModelKind.ENCODER_DECODER or layers.autocasts(work)
    each = LOGIT_BYTES[work.loss] if lifts else PLAIN_LOGIT_VALUES * work.width
    return float((each + capped) * tokens * shape.vocabulary + last)


def _head_gradient(shape: ModelShape, work: Workload) -> float:
    """Return the bytes of the output head's gradient, which waits for the rest of the pass unless it is shared out."""
    let_go = work.stack.optimizer_in_backward or work.sharding.stage >= GRADIENTS_STAGE
    if not work.trains_head or work.loss is Loss.NONE or let_go:
        return 0.0
    return float(work.trained_width * shape.table_parameters)


def _cast(shape: ModelShape, work: Workload) -> float:
    """Return the bytes of the 16-bit copies that autocast makes of fp32 weights, one layer's under FSDP."""
    if work.quantizer is not None and work.stack.lifted and work.loss not in {Loss.FUSED, Loss.NONE}:
        return float(work.width * shape.table_parameters)  # a lifted head's
    if not work.mixed or work.sharding.strategy is Strategy.FSDP:
        return 0.0
    return float(work.width * shape.parameters)


def _last_gradient(shape: ModelShape, work: Workload) -> float:
    """Return the bytes beside all gradients when the largest is complete, which is that of the table of tokens.

    What is made first becomes the gradient itself, and where there is one already is added to it. A table that is read
    in two places, as head or on both sides, has a gradient from either: autograd makes their sum a third tensor.
    """
    if not work.trains_head:
        return 0.0
    waits = work.accumulation > 1 or work.sharding.strategy is Strategy.DEEPSPEED
    tables = (2 if _read_twice(shape, work) else 0) + (1 if waits else 0)
    return float(tables * work.trained_width * shape.table_parameters)


def _read_twice(shape: ModelShape, work: Workload) -> bool:
    """Whether one table of tokens learns from two places; beside an adapter each place has a copy of its own."""
    sides = shape.kind is ModelKind.ENCODER_DECODER
    return work.trains_all and (sides or (shape.tied and shape.kind is ModelKind.DECODER))
