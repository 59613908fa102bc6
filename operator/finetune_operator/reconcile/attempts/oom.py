"""What an attempt gives way to after memory ran out; `next_step` is the entry.

A smaller plan first, of the same effective batch. Where the pod's own memory ran out, its limit is raised as well: at
the end of the ladder on a CPU, before it on an accelerator, whose memory is what the ladder is about.

Once there is a checkpoint, no step is taken that could not read it: a job's progress is not given up for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import AttemptStatus
from finetune_operator.planning.memory.estimate import readable
from finetune_operator.planning.plan import AS_PLANNED, Descent, Plan
from finetune_operator.planning.profiles import Profiles
from finetune_operator.planning.search.ladder import reshards
from finetune_operator.reconcile.plans import descend


@dataclass(frozen=True, slots=True)
class Step:
    """One step down: how far that is in all, and what changes."""

    descent: Descent
    change: str


def descent_of(attempt: AttemptStatus | None) -> Descent:
    """Return how far the plan of an attempt gave way."""
    return Descent(attempt.rung, attempt.memory_raises) if attempt else AS_PLANNED


def next_step(spec: FineTuneJobSpec, profiles: Profiles, ended: AttemptStatus, *, has_checkpoint: bool) -> Step | None:
    """Return the next step after an attempt that ran out of memory, None where there is none left.

    Where there is a checkpoint, steps that could not read it are left out: they would begin from nothing.
    """
    at = descent_of(ended)
    planned = descend(spec, profiles, at)
    if not isinstance(planned, Plan):
        return None
    smaller = _smaller(spec, profiles, planned, at, keeps=has_checkpoint)
    steps = [smaller]
    if ended.reason == Reason.HOST_OUT_OF_MEMORY:
        larger = _of(spec, profiles, Descent(at.rung, at.memory_raises + 1))
        steps = [smaller, larger] if planned.machine.is_cpu else [larger, smaller]
    for descent, further in filter(None, steps):
        grown = further.memory_bytes > planned.memory_bytes
        change = further.change if descent.rung > at.rung else ""
        limit = f"memory limit {readable(further.memory_bytes)}" if grown else ""
        return Step(descent, ", ".join(part for part in (change, limit) if part))
    return None


def left_out(spec: FineTuneJobSpec, profiles: Profiles, ended: AttemptStatus) -> str:
    """Return what would still need less memory, but could not read a checkpoint; nothing if there is no such thing."""
    at = descent_of(ended)
    planned = descend(spec, profiles, at)
    found = _smaller(spec, profiles, planned, at, keeps=False) if isinstance(planned, Plan) else None
    return found[1].change if found else ""


def _of(spec: FineTuneJobSpec, profiles: Profiles, descent: Descent) -> tuple[Descent, Plan] | None:
    found = descend(spec, profiles, descent)
    return (descent, found) if isinstance(found, Plan) else None


def _smaller(
    spec: FineTuneJobSpec, profiles: Profiles, planned: Plan, at: Descent, *, keeps: bool
) -> tuple[Descent, Plan] | None:
    """Return the next rung that needs less; where a checkpoint is kept, one that reads it."""
    rung = at.rung + 1
    while (found := _of(spec, profiles, Descent(rung, at.memory_raises))) is not None:
        further = found[1]
        if further.memory.peak < planned.memory.peak and not (keeps and reshards(planned.sharding, further.sharding)):
            return found
        rung += 1
    return None
