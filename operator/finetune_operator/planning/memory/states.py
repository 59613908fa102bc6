"""Bytes of what a device holds at rest: weights, gradients, optimizer states, and the buffers that pass them around.

Sources: ZeRO (arXiv 1910.02054) for what each stage divides; QLoRA (arXiv 2305.14314) for 4-bit blocks; DeepSpeed
0.19 for its buckets, its live parameters and the fp32 gradients of one sub-group; PyTorch for FSDP and DDP.

Not here: activations (`planning.memory.layers`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.training import Optimizer, Precision
from finetune_operator.planning.catalog import ModelShape
from finetune_operator.planning.memory.workload import PARAMETERS_STAGE, Loading, Quantizer, Workload

BLOCK_BYTES = {
    # 4 bits and one absmax per 64 weights: in fp32, or quantized again with blocks of 256
    Quantizer.NF4: 0.5 + 4 / 64,
    Quantizer.NF4_DOUBLE: 0.5 + 1 / 64 + 4 / (64 * 256),
    Quantizer.INT8: 1.0,
    # 4 bits; a 16-bit scale and a 4-bit zero per group of 128
    Quantizer.GPTQ: 0.5 + 2.5 / 128,
}

UNPACK_BYTES = {Quantizer.GPTQ: 8}
"""Bytes a weight in flight beside the 16-bit result: GPTQ's kernels unpack into integers of 32 and of 16 bits."""

MOMENTS = {
    # states of a trained weight: values of its own width, and bytes of a format of their own
    Optimizer.ADAMW: (2, 0.0),
    Optimizer.ADAMW_FUSED: (2, 0.0),
    Optimizer.ADAMW_8BIT: (0, 2.0 + 2 * 4 / 256),
    Optimizer.PAGED_ADAMW_8BIT: (0, 2.0 + 2 * 4 / 256),
    Optimizer.PAGED_ADAMW: (2, 0.0),
    Optimizer.LION: (1, 0.0),
    Optimizer.LION_8BIT: (0, 1.0 + 4 / 256),
    Optimizer.ADAFACTOR: (0, 0.02),
    Optimizer.SGD: (0, 0.0),
}

EIGHT_BIT = frozenset({Optimizer.ADAMW_8BIT, Optimizer.PAGED_ADAMW_8BIT, Optimizer.LION_8BIT})
WIDE_STATE = 8
"""Bytes a weight of an embedding under an 8-bit optimizer: transformers keeps its states in fp32."""

FOREACH = frozenset({Optimizer.ADAMW, Optimizer.ADAFACTOR})
"""Optimizers that compute all weights at once and hold one more value a weight while they do."""

BUCKET_VALUES = 500_000_000
"""Values in DeepSpeed's reduce bucket, its default; never more than there are gradients. Two are in use at a time."""

LIVE_VALUES = 1_000_000_000
"""Values that ZeRO-3 keeps gathered, and values of the sub-group whose fp32 gradients exist at a time: its defaults."""

MASTER_BYTES = 12
"""fp32 weight and both of Adam's moments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """Bytes on one device: at rest, and the most in passing at three moments."""

    weights: float
    adapter: float = 0.0
    gradients: float
    optimizer: float
    buffers: float = 0.0
    gathered: float = 0.0
    """Weights of other devices, while the layers run."""
    step: float = 0.0
    """While the optimizer steps."""
    reference: float = 0.0
    """A frozen copy of the model to compare with."""
    loading: float = 0.0
    """All that is held while weights are loaded."""


def trainable(shape: ModelShape, work: Workload) -> int:
    """Return how many weights learn."""
    return shape.parameters if work.adapter is None else work.adapter.parameters + work.adapter.embeddings


def states(shape: ModelShape, work: Workload) -> States:
    """Return what one device holds."""
    held = _sharded(shape, work)
    return replace(held, reference=frozen_bytes(shape, work)) if work.reference else held


def _sharded(shape: ModelShape, work: Workload) -> States:
    return _deepspeed(shape, work) if work.sharding.strategy is Strategy.DEEPSPEED else _torch(shape, work)


def frozen_bytes(shape: ModelShape, work: Workload) -> float:
    """Return the bytes of a model as it is stored beside an adapter: matrices quantized, all else at full width."""
    if work.quantizer is None:
        return float(work.width * shape.parameters)
    kept = shape.parameters - shape.linear_parameters
    width = 4 if work.stack.lifted else work.width
    return shape.linear_parameters * BLOCK_BYTES[work.quantizer] + width * kept


def largest_linear(shape: ModelShape) -> int:
    """Return the weights of the largest matrix of a layer."""
    return max(linear.weights for linear in shape.linears)


def dequantized(shape: ModelShape, work: Workload) -> float:
    """Return the bytes in flight while a quantized matrix is used."""
    if work.quantizer is None or work.quantizer is Quantizer.INT8:
        return 0.0
    return largest_linear(shape) * (work.width + UNPACK_BYTES.get(work.quantizer, 0))


def _torch(shape: ModelShape, work: Workload) -> States:
    sharding = work.sharding
    shards = sharding.devices if sharding.strategy is Strategy.FSDP else 1
    weights, adapter = _weights(shape, work)
    gradients, optimizer = _gradients(shape, work), _moments(shape, work)
    if work.stack.optimizer_in_backward:
        one = work.trained_width * max(shape.table_parameters, largest_linear(shape))
        gradients = min(gradients, float(one))
    at_once = min(2 * _largest_unit(shape, work), weights)
    whole = work.stack.loading is Loading.WHOLE
    parts = States(
        weights=weights / shards,
        adapter=adapter / shards,
        gradients=gradients / shards,
        optimizer=optimizer / shards,
        gathered=min(at_once, weights * (1 - 1 / shards)),
        buffers=gradients if sharding.strategy is Strategy.DDP and sharding.devices > 1 else 0.0,
        step=_step(work, gradients) / shards,
        loading=weights + (weights / shards if shards > 1 else 0.0) if whole else weights / shards,
    )
    return _offloaded(parts, work, at_once)


def _deepspeed(shape: ModelShape, work: Workload) -> States:
    sharding, learn = work.sharding, trainable(shape, work)
    half = work.precision is not Precision.FP32
    width = 2 if half else 4
    weights = width * shape.parameters if work.trains_all else frozen_bytes(shape, work)
    by_stage = [sharding.devices if sharding.stage >= stage else 1 for stage in (1, 2, 3)]
    per_weight = MASTER_BYTES if half else 8
    at_once = min(float(LIVE_VALUES * width), weights)
    parts = States(
        weights=weights / by_stage[2],
        adapter=_adapter_parts(work, width, by_stage[2]),
        gradients=width * learn / by_stage[1],
        optimizer=per_weight * learn / by_stage[0],
        buffers=2.0 * width * min(BUCKET_VALUES, learn),
        gathered=min(at_once, weights * (1 - 1 / by_stage[2])),
        step=4.0 * min(LIVE_VALUES, learn / by_stage[0]) if half else 0.0,
        loading=weights / by_stage[2] if work.stack.loading is Loading.SHARDED else float(weights),
    )
    return _offloaded(parts, work, at_once)


def _adapter_parts(work: Workload, width: int, devices: int) -> float:
    """Return the bytes of what was added to the model: what learns is divided, what does not is everywhere."""
    if work.adapter is None:
        return 0.0
    return width * ((work.adapter.parameters + work.adapter.embeddings) / devices + work.adapter.frozen_values)


def _offloaded(parts: States, work: Workload, at_once: float) -> States:
    """Move to the host's memory what the job asked for: optimizer states with their gradients, and parameters.

    `at_once` is the bytes of the weights that are computed with: they are gathered from the host.
    """
    sharding = work.sharding
    if sharding.offload_optimizer:
        parts = replace(parts, optimizer=0.0, gradients=0.0, step=0.0)
    if sharding.offload_parameters and sharding.stage >= PARAMETERS_STAGE:
        parts = replace(parts, weights=0.0, loading=0.0, gathered=at_once)
    return parts


def _weights(shape: ModelShape, work: Workload) -> tuple[float, float]:
    """Return the bytes of the model and of what was added to it."""
    if work.adapter is None:
        return float(shape.parameters * work.trained_width), 0.0
    own = (work.adapter.parameters + work.adapter.frozen_values) * work.adapter_bytes
    return frozen_bytes(shape, work), float(own + work.adapter.embeddings * work.width)


def _gradients(shape: ModelShape, work: Workload) -> float:
    if work.adapter is None:
        return float(shape.parameters * work.trained_width)
    return float(work.adapter.parameters * work.adapter_bytes + work.adapter.embeddings * work.width)


def _moments(shape: ModelShape, work: Workload) -> float:
    values, fixed = MOMENTS[work.optimizer]
    size = values * _gradients(shape, work) + fixed * trainable(shape, work)
    if work.optimizer in EIGHT_BIT and work.adapter is None:
        size += (WIDE_STATE - fixed) * shape.table_parameters
    return size


def _step(work: Workload, gradients: float) -> float:
    return gradients if work.optimizer in FOREACH and not work.stack.optimizer_in_backward else 0.0


def _largest_unit(shape: ModelShape, work: Workload) -> float:
    """Return the bytes that are gathered at once: a layer, as it is stored, or the embedding where that is larger."""
    layer = sum(linear.weights for linear in shape.linears)
    stored = work.width if work.quantizer is None else BLOCK_BYTES[work.quantizer]
    return max(layer * stored, float(work.width * shape.table_parameters))
