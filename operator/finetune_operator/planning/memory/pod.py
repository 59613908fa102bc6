"""Memory that a pod needs beside its devices: the processes, a checkpoint on its way to them, and what was offloaded.

Not here: the devices' own memory (`planning.memory.device`).
"""

from __future__ import annotations

from finetune_operator.planning.catalog import ModelShape
from finetune_operator.planning.memory.estimate import GIB
from finetune_operator.planning.memory.states import MASTER_BYTES, trainable
from finetune_operator.planning.memory.workload import Workload

PROCESS_BYTES = 4 * GIB
"""Resident size of one process with torch's CUDA libraries, a data loader and pinned buffers."""

CHECKPOINT_PART_BYTES = 5_000_000_000
"""The largest file into which transformers splits a checkpoint (`max_shard_size`, its default)."""

HALF = 2

GRADIENT_BYTES = 4
"""DeepSpeed keeps offloaded gradients in fp32 beside the optimizer's states."""


def beside_devices(shape: ModelShape, work: Workload, processes: int) -> int:
    """Return the bytes of a pod that runs one process on each of its devices."""
    sharding = work.sharding
    loading = min(CHECKPOINT_PART_BYTES, HALF * shape.parameters)
    share = processes / sharding.devices
    offloaded = 0.0
    if sharding.offload_optimizer:
        offloaded += (MASTER_BYTES + GRADIENT_BYTES) * trainable(shape, work) * share
    if sharding.offload_parameters:
        offloaded += HALF * shape.parameters * share
    return int(processes * (PROCESS_BYTES + loading) + offloaded)
