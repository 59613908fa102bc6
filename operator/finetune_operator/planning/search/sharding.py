"""The ways in which devices can share a job, simplest and cheapest first; `ways` is the entry.

Not here: what each needs (`planning.memory.states`), which one fits (`planning.search.fitting`).
"""

from __future__ import annotations

from collections.abc import Iterator

from finetune_operator.api.v1alpha1.hardware import Distribution, Offload, OffloadTarget, Strategy
from finetune_operator.planning.machines import Machine
from finetune_operator.planning.memory.workload import ALONE, PARAMETERS_STAGE, Sharding

STAGES = (2, 3)
"""ZeRO stages that a plan chooses by itself: stage 1 saves less than 2 and costs as much."""


def ways(machine: Machine, distribution: Distribution, *, aggregate: bool = False) -> Iterator[tuple[int, Sharding]]:
    """Return devices per node, with how all devices share the job. `aggregate` wants the memory of all of them."""
    nodes = [(per_node, count) for count in machine.node_counts for per_node in machine.device_counts]
    if aggregate:
        nodes.reverse()
    offloads = (Offload(),) if machine.is_cpu else _offloads(distribution)
    for offload in offloads:
        for per_node, count in nodes:
            for sharding in _for_devices(per_node * count, distribution, offload, aggregate=aggregate):
                yield per_node, sharding


def _offloads(distribution: Distribution) -> tuple[Offload, ...]:
    """Return what leaves the devices: nothing, and if that does not do, the optimizer, and then parameters too."""
    if distribution.offload is not None:
        return (distribution.offload,)
    optimizer = Offload(optimizer=OffloadTarget.CPU)
    both = Offload(optimizer=OffloadTarget.CPU, parameters=OffloadTarget.CPU)
    if distribution.strategy is Strategy.AUTO:
        return Offload(), optimizer, both
    if distribution.strategy is Strategy.DEEPSPEED:
        stage = distribution.zero_stage
        return (
            (Offload(),)
            if stage == 0
            else (Offload(), optimizer, *((both,) if stage in {None, PARAMETERS_STAGE} else ()))
        )
    if distribution.strategy is Strategy.FSDP:
        return Offload(), both
    return (Offload(),)


def _for_devices(devices: int, distribution: Distribution, offload: Offload, *, aggregate: bool) -> Iterator[Sharding]:
    strategy = distribution.strategy
    nothing = offload == Offload()
    if strategy is Strategy.AUTO and nothing and (devices == 1 or not aggregate):
        yield ALONE if devices == 1 else Sharding(strategy=Strategy.DDP, devices=devices)
    if strategy is Strategy.NONE and devices == 1:
        yield ALONE
    if strategy is Strategy.DDP:
        yield Sharding(strategy=Strategy.DDP, devices=devices)
    if strategy is Strategy.FSDP and devices > 1:
        yield _sharding(Strategy.FSDP, PARAMETERS_STAGE, devices, offload)
    if strategy is Strategy.DEEPSPEED or (strategy is Strategy.AUTO and (devices > 1 or not nothing)):
        for stage in _stages(distribution, offload):
            yield _sharding(Strategy.DEEPSPEED, stage, devices, offload)


def _stages(distribution: Distribution, offload: Offload) -> tuple[int, ...]:
    if distribution.zero_stage is not None:
        return (distribution.zero_stage,)
    return (PARAMETERS_STAGE,) if offload.parameters is OffloadTarget.CPU else STAGES


def _sharding(strategy: Strategy, stage: int, devices: int, offload: Offload) -> Sharding:
    return Sharding(
        strategy=strategy,
        stage=stage,
        devices=devices,
        offload_optimizer=offload.optimizer is OffloadTarget.CPU,
        offload_parameters=offload.parameters is OffloadTarget.CPU,
    )
