"""Predicts how long a job runs and what it costs; `duration` is the entry.

A step's time follows from the operations it computes and what the accelerator reaches of its peak in fine-tuning: per
token 2 operations a weight forward, 2 for gradients of activations, 2 for gradients of weights that learn, and 2 more
where activations are computed again; attention adds its own (Megatron-LM, arXiv 2104.04473). Weights of 4 bits have to
be written out in 16 in every pass, which their memory bandwidth bounds. What devices exchange follows ZeRO (arXiv
1910.02054): twice the gradients, three times the weights at stage 3.

Not here: whether it fits (`planning.search`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from finetune_operator.api.v1alpha1.dataset import TokenHistogram
from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.training import Precision
from finetune_operator.planning.catalog import Confidence, ModelKind, ModelShape
from finetune_operator.planning.machines import Machine
from finetune_operator.planning.memory.states import trainable
from finetune_operator.planning.memory.workload import PARAMETERS_STAGE, Workload

TERA = 1e12

LAYER_SECONDS = 0.002
"""Least time of a layer's forward and backward pass on a GPU, whatever its size: launching kernels (measured at 4 ms a
layer with recomputation on an A100)."""

FULL_BATCH_TOKENS = 2048
"""Tokens at once with which an accelerator reaches its usual utilization; a quarter of them reach about half."""

DEQUANTIZATION_PASSES = {False: 2, True: 3}
"""How often a 4-bit weight is written out in a step: forward, backward, and once more when recomputing."""

DEQUANTIZATION_SHARE = 0.12
"""Part of the memory bandwidth that dequantizing reaches (35 ps a weight and micro-step on an A100)."""

NODE_BANDWIDTH = 6.25e9
"""Bytes a second between nodes, for each device: 400 Gbit/s for eight of them, common on machines sold for training."""

START_SECONDS = 90
"""From a scheduled pod to the first step, without what depends on the model."""

LOAD_BYTES_PER_SECOND = 0.5e9
"""How fast a checkpoint is read."""

CPU_FLOPS = 25e9
"""fp32 operations a second that training reaches per processor (measured: 22 M parameters, 2 processors)."""

USUAL_CPUS = 2.0

SPREAD = {Confidence.HIGH: (0.75, 1.5), Confidence.LOW: (0.6, 2.5)}
"""How far the truth may lie from the prediction, as factors."""


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds as a range, the steps they are for, and USD where a price is known."""

    step_seconds: float
    steps: int | None
    low: float | None
    high: float | None
    cost_low: float | None
    cost_high: float | None


def duration(shape: ModelShape, work: Workload, machine: Machine, run: Run) -> Duration:
    """Return the time and the cost of a run."""
    step = step_seconds(shape, work, machine, run)
    if run.steps is None:
        return Duration(step, None, None, None, None, None)
    low, high = SPREAD[machine.accelerator.confidence]
    start = START_SECONDS + 2 * shape.parameters / LOAD_BYTES_PER_SECOND
    shortest, longest = start + run.steps * step * low, start + run.steps * step * high
    price = machine.price(run.devices_per_node, run.nodes, run.host_bytes)
    costs = (None, None) if price is None else (price * shortest / 3600, price * longest / 3600)
    return Duration(step, run.steps, shortest, longest, *costs)


@dataclass(frozen=True, slots=True)
class Run:
    """How many steps there are, and on what."""

    steps: int | None
    devices_per_node: int
    nodes: int
    host_bytes: int
    """Memory of each pod."""
    row_tokens: int
    """Tokens that a row has on the average, with what it is padded by."""


def row_tokens(length: int, micro_batch: int, tokens: TokenHistogram | None) -> int:
    """Return the tokens that are computed for a row: a micro-batch is as long as its longest row."""
    if tokens is None:
        return length
    return min(length, tokens.median if micro_batch == 1 else (tokens.median + tokens.p95) // 2)


def steps(*, rows: int | None, batch: int, epochs: float | None, max_steps: int | None) -> int | None:
    """Return the optimizer steps of a run; None where nobody said how many rows there are."""
    if max_steps is not None:
        return max_steps
    return None if rows is None else max(1, math.ceil(math.ceil(rows / batch) * (epochs or 1.0)))


def step_seconds(shape: ModelShape, work: Workload, machine: Machine, run: Run) -> float:
    """Return the time of one optimizer step."""
    filled = replace(work, sequence_length=run.row_tokens)
    computing = flops(shape, filled) * (work.adapter.slowdown if work.adapter else 1.0)
    if machine.is_cpu:
        return work.accumulation * computing / (CPU_FLOPS * (machine.cpus or USUAL_CPUS))
    accelerator = machine.accelerator
    peak = accelerator.tflops_of("fp32" if work.precision is Precision.FP32 else "half") * TERA
    busy = accelerator.utilization * _filling(filled.tokens)
    depth = shape.layers + shape.decoder_layers
    least = LAYER_SECONDS * depth * (2 if work.gradient_checkpointing else 1.5)
    micro = max(least, computing / (busy * peak)) + _dequantizing(shape, work, machine)
    return work.accumulation * micro + _exchange(shape, work, machine, run)


def flops(shape: ModelShape, work: Workload) -> float:
    """Return the operations of one micro-step."""
    heads = 0 if shape.kind is ModelKind.ENCODER else shape.table_parameters
    multiplying = shape.linear_parameters + heads
    passes = 4 + (2 if work.trains_all else 0) + (2 if work.gradient_checkpointing else 0)
    depth = shape.layers + shape.decoder_layers
    attention = 2 * depth * work.sequence_length * shape.query_width  # half of the matrix is masked in a decoder
    return float(work.tokens * passes * (multiplying + attention))


def _filling(tokens: int) -> float:
    return min(1.0, math.sqrt(tokens / FULL_BATCH_TOKENS))


def _dequantizing(shape: ModelShape, work: Workload, machine: Machine) -> float:
    if work.quantizer is None:
        return 0.0
    moved = shape.linear_parameters * 2.5 * DEQUANTIZATION_PASSES[work.gradient_checkpointing]
    return moved / (DEQUANTIZATION_SHARE * machine.accelerator.bandwidth_bytes_per_second)


def _exchange(shape: ModelShape, work: Workload, machine: Machine, run: Run) -> float:
    sharding = work.sharding
    if sharding.devices == 1 and not sharding.offload_optimizer:
        return 0.0
    inside = machine.accelerator.interconnect_bytes_per_second
    between = NODE_BANDWIDTH * run.devices_per_node if run.nodes > 1 else inside
    learn = trainable(shape, work)
    moved = 2.0 * work.width * learn
    if sharding.stage >= PARAMETERS_STAGE:
        moved += 2.0 * work.width * shape.parameters * work.accumulation
    share = (sharding.devices - 1) / sharding.devices
    seconds = moved * share / min(inside, between)
    if sharding.offload_optimizer:
        seconds += learn * OFFLOAD_SECONDS / sharding.devices
    if sharding.offload_parameters:  # every device reads all weights, forward and backward
        seconds += 2.0 * work.width * shape.parameters * work.accumulation / HOST_BANDWIDTH
    return seconds if sharding.strategy is not Strategy.NONE else 0.0


HOST_BANDWIDTH = 12e9
"""Bytes a second from a node's memory to a device: PCIe 3 x16, as pinned copies reach it."""

OFFLOAD_SECONDS = 1.5e-9
"""Time a weight of Adam on the node's processors, moved there and back (DeepSpeed's CPUAdam: 1 B in 1 to 2 s)."""
