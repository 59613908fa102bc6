"""Looks through the ways a job could run on a machine, and returns the first that fits; `first` is the entry.

Not here: which ways there are (`planning.search.sharding`), which machine is taken (`planning.plan`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.technique import Goal, Method
from finetune_operator.api.v1alpha1.training import Precision
from finetune_operator.planning import hyperparameters, methods
from finetune_operator.planning.catalog import ModelShape
from finetune_operator.planning.machines import Machine
from finetune_operator.planning.memory.workload import Sharding, Stack
from finetune_operator.planning.profiles import Profiles
from finetune_operator.planning.search.fitting import Fit, Question, divides_quantized, fit, micro_batches, smallest
from finetune_operator.planning.search.sharding import ways

METHOD_FIRST = frozenset({Goal.QUALITY, Goal.AGGREGATE_GPU_MEMORY})
"""Goals for which a better method on more devices comes before a lesser one on fewer."""

Way = tuple[int, tuple[Sharding, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job, and what there is to plan it with."""

    spec: FineTuneJobSpec
    shape: ModelShape
    profiles: Profiles
    stack: Stack
    offloads: bool = True
    """Whether what does not fit may leave the devices."""

    @property
    def method_first(self) -> bool:
        """Whether a better method is worth more devices."""
        goals = self.spec.technique.goals
        return bool(goals) and goals[0] in METHOD_FIRST

    @property
    def length(self) -> tuple[int, str]:
        """Tokens at which rows are cut, and why."""
        asked = self.spec.training.sequence_length
        if asked:
            return asked, methods.ASKED
        return hyperparameters.sequence_length(self.spec.task, self.shape, self.spec.dataset.tokens)


def first(job: Job, machine: Machine) -> tuple[int, Fit] | None:
    """Return the first way that fits, with the place of its method among those wanted where that counts most."""
    order = [candidate.method for candidate in methods.candidates(job.spec)]
    for question in questions(job, machine):
        # On a CPU `fit` stops at the first that fits: to ask before whether any can would cost as much again.
        hopeless = not machine.is_cpu and smallest(question).peak > machine.device_bytes
        if not hopeless and (found := fit(question)) is not None:
            return (order.index(question.method) if job.method_first else 0), found
    return None


def large_enough(job: Job, offered: tuple[Machine, ...]) -> Iterator[Machine]:
    """Return the machines that could hold the job: what it needs at least is the same on all that share it alike."""
    least: dict[tuple[object, ...], int] = {}
    for machine in offered:
        alike = (machine.is_cpu, machine.accelerator.bf16, machine.device_counts, machine.node_counts)
        if alike not in least:
            least[alike] = min((smallest(one).peak for one in questions(job, machine)), default=0)
        if least[alike] <= machine.device_bytes:
            yield machine


def questions(job: Job, machine: Machine) -> Iterator[Question]:
    """Return every way, cheapest first: fewer devices, then the better method, then the better number format."""
    chosen = tuple(candidate.method for candidate in methods.candidates(job.spec))
    shared = _by_devices(job, machine)
    pairs = (
        ((method, way) for method in chosen for way in shared)
        if job.method_first
        else ((method, way) for way in shared for method in chosen)
    )
    length = job.length[0]
    for method, (per_node, shardings) in pairs:
        for precision, sharding in itertools.product(_precisions(job, machine, method), shardings):
            if divides_quantized(method, sharding) and not job.stack.shards_quantized:
                continue
            narrow = machine.is_cpu and sharding.strategy is Strategy.DEEPSPEED  # which trains in fp32 alone there
            yield Question(
                spec=job.spec,
                shape=job.shape,
                machine=machine,
                method=method,
                length=length,
                devices_per_node=per_node,
                sharding=sharding,
                precision=Precision.FP32 if narrow else precision,
                stack=job.stack,
            )


def _by_devices(job: Job, machine: Machine) -> tuple[Way, ...]:
    """Return the ways to share, those of equally many devices and equal offloading together."""
    aggregate = Goal.AGGREGATE_GPU_MEMORY in job.spec.technique.goals
    every = (
        way
        for way in ways(machine, job.spec.distribution, aggregate=aggregate)
        if (job.offloads or not way[1].offload_optimizer) and any(micro_batches(job.spec, way[1].devices))
    )
    grouped = itertools.groupby(
        every, key=lambda way: (way[0], way[1].devices, way[1].offload_optimizer, way[1].offload_parameters)
    )
    return tuple((key[0], tuple(sharding for _per_node, sharding in group)) for key, group in grouped)


def _precisions(job: Job, machine: Machine, method: Method) -> tuple[Precision, ...]:
    asked = job.spec.training.precision
    if asked is not None:
        return (asked,)
    if machine.is_cpu and job.profiles.cpu.bf16:
        return (Precision.BF16,)
    return hyperparameters.precisions(machine, method)
