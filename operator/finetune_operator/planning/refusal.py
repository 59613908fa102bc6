"""Why a job cannot run as it is written, and the way out.

Not here: what is refused (the other modules of `planning`).
"""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.planning.memory.estimate import MemoryEstimate
from finetune_operator.planning.memory.workload import Workload


@dataclass(frozen=True, slots=True)
class Alternative:
    """Something else that would fit: what to write, what it needs and what it costs."""

    change: str
    predicted_bytes: int
    limit_bytes: int
    price_per_hour: float | None
    stays: bool = False
    """Whether it needs no other hardware."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """The way to run a job that misses by least: on what, and one step of it."""

    model: str
    accelerator: str
    devices_per_node: int
    workload: Workload


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the job cannot run as it is written, and the way out."""

    reason: Reason
    message: str
    alternatives: tuple[Alternative, ...] = ()
    least: MemoryEstimate | None = None
    """What the job needs at least, where that is known."""
    limit_bytes: int | None = None
    nearest: Nearest | None = None
    """How the job would be run with that."""
