"""What an attempt gives way to after memory ran out; `next_step` is the entry.

A smaller plan first, of the same effective batch. Where the pod's own memory ran out, its limit is raised as well: at
the end of the ladder on a CPU, before it on an accelerator, whose memory is what the ladder is about.
"""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import AttemptStatus
from finetune_operator.planning.memory.estimate import readable
from finetune_operator.planning.plan import AS_PLANNED, Descent, Plan, descend
from finetune_operator.planning.profiles import Profiles


@dataclass(frozen=True, slots=True)
class Step:
    """One step down: how far that is in all, and what changes."""

    descent: Descent
    change: str


def descent_of(attempt: AttemptStatus | None) -> Descent:
    """Return how far the plan of an attempt gave way."""
    return Descent(attempt.rung, attempt.memory_raises) if attempt else AS_PLANNED


def next_step(spec: FineTuneJobSpec, profiles: Profiles, ended: AttemptStatus) -> Step | None:
    """Return the next step after an attempt that ran out of memory, None where there is none left."""
    at = descent_of(ended)
    planned = descend(spec, profiles, at)
    if not isinstance(planned, Plan):
        return None
    smaller, larger = Descent(at.rung + 1, at.memory_raises), Descent(at.rung, at.memory_raises + 1)
    steps = [smaller]
    if ended.reason == Reason.HOST_OUT_OF_MEMORY:
        steps = [smaller, larger] if planned.machine.is_cpu else [larger, smaller]
    for descent in steps:
        further = descend(spec, profiles, descent)
        if isinstance(further, Plan):
            grown = further.memory_bytes > planned.memory_bytes
            change = planned.ladder[0] if descent is smaller else ""
            limit = f"memory limit {readable(further.memory_bytes)}" if grown else ""
            return Step(descent, ", ".join(part for part in (change, limit) if part))
    return None
