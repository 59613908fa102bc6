"""Whether a job is tried again after an attempt ended, when, and with which plan; `after` is the entry.

How often depends on what ended it: what the user has to change, never; what the cluster did, up to a bound of its own
that each newer checkpoint sets back, the first time at once; memory, as long as a smaller plan exists; all else up to
`spec.backoffLimit`, with pauses.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass

from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1 import reasons
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import AttemptStatus
from finetune_operator.planning.plan import Descent
from finetune_operator.reconcile.attempts import oom, saved
from finetune_operator.reconcile.attempts.history import Attempts, reason_of, since_advance
from finetune_operator.reconcile.snapshot import Snapshot

INFRASTRUCTURE_LIMIT = 10
"""Attempts that the cluster may break off before one saves a newer checkpoint; the next such end is the job's.

A job on nodes that come and go is broken off all the time and still arrives, as long as it gets further in between. It
cannot go on for ever either: its steps are finite.
"""

FIRST_PAUSE = 10.0
"""Seconds before the first retry after an error; it doubles with each."""

LONGEST_PAUSE = 300.0
"""Seconds that no pause is longer than, but for its jitter."""

JITTER = 0.1
"""Part of a pause by which it is longer or shorter, so that jobs which broke together do not come back together."""


LONGEST_WAIT = LONGEST_PAUSE * (1 + JITTER)
"""Seconds that no retry is away. One that seems to be was set by a clock that has been put back since, and is due."""


class FailureClass(enum.Enum):
    """What follows from the end of an attempt."""

    USER = "user"
    MEMORY = "memory"
    INFRASTRUCTURE = "infrastructure"
    STOPPED = "stopped"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Again:
    """The next attempt: from when on (seconds since the epoch), how far its plan gives way, and in whose words."""

    at: float
    descent: Descent
    reason: Reason
    message: str
    change: str | None = None


@dataclass(frozen=True, slots=True)
class Enough:
    """No further attempt, and why."""

    reason: Reason
    message: str


def failure_class(reason: Reason) -> FailureClass:
    """Return what an end follows from."""
    if reason in {Reason.SUSPENDED, Reason.DEADLINE_EXCEEDED}:  # it is asked for no more, or was not due by our count
        return FailureClass.STOPPED
    if reason in reasons.OUT_OF_MEMORY:
        return FailureClass.MEMORY
    if reason in reasons.INFRASTRUCTURE:
        return FailureClass.INFRASTRUCTURE
    if reason in reasons.USER_ERRORS | reasons.STUCK:
        return FailureClass.USER
    return FailureClass.OTHER


def after(seen: Snapshot, spec: FineTuneJobSpec, attempts: Attempts) -> Again | Enough:
    """Return what follows from the end of the newest attempt."""
    ended = attempts[-1]
    reason = reason_of(ended) or Reason.UNKNOWN
    kind, said = failure_class(reason), ended.message or ""
    ended_at = timestamps.parse(ended.end_time) if ended.end_time else seen.now
    same = oom.descent_of(ended)
    if kind is FailureClass.USER:
        return Enough(reason, said)
    if kind is FailureClass.STOPPED:
        return Again(ended_at, same, Reason.RESUMED, "resumes from the newest checkpoint")
    if kind is FailureClass.MEMORY:
        return _smaller(seen, spec, attempts, reason)
    if kind is FailureClass.INFRASTRUCTURE:
        count = _count(since_advance(attempts), kind)
        if count > INFRASTRUCTURE_LIMIT:
            words = f"gave up after the cluster broke off {count} attempts without a newer checkpoint"
            return Enough(reason, f"{said}; {words}")
        pause = 0.0 if count <= 1 else _pause(seen, ended, count - 1)
    else:
        count = _count(attempts, kind)
        if count > spec.backoff_limit:
            return Enough(reason, f"{said}; gave up after {_times(count)}: spec.backoffLimit is {spec.backoff_limit}")
        pause = _pause(seen, ended, count)
    return Again(ended_at + pause, same, Reason.RESTARTING, f"attempt {ended.number} ended: {reason.value}: {said}")


def _smaller(seen: Snapshot, spec: FineTuneJobSpec, attempts: Attempts, reason: Reason) -> Again | Enough:
    ended = attempts[-1]
    found = saved.resumable(seen, ended.number)
    step = oom.next_step(spec, seen.profiles, ended, has_checkpoint=found is not None)
    if step is None:
        tried = "; ".join(one.change for one in attempts if one.change) or "the plan has no smaller form"
        words = f"{ended.message or reason.value}; nothing smaller is left. Tried: {tried}"
        other = oom.left_out(spec, seen.profiles, ended) if found is not None else ""
        if other:
            words += (
                f". Not tried: {other}, which cannot read the checkpoint of step {found}; a new job with "
                "spec.distribution set so would begin from nothing"
            )
        return Enough(reason, words)
    words = f"attempt {ended.number} ended: {reason.value}; now {step.change}, same effective batch"
    return Again(seen.now, step.descent, Reason.RESTARTING, words, step.change)


def _count(attempts: Attempts, kind: FailureClass) -> int:
    ends = (reason_of(one) for one in attempts if one.end_time is not None)
    return sum(reason is not None and failure_class(reason) is kind for reason in ends)


def _pause(seen: Snapshot, ended: AttemptStatus, count: int) -> float:
    """Return the seconds before a retry. The jitter is the same at each look: it is made of the job and the attempt."""
    digest = hashlib.sha256(f"{seen.meta.key.uid}/{ended.number}".encode()).digest()
    part = int.from_bytes(digest[:4]) / 2**32
    pause: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(count - 1, 10))
    return pause * (1 + JITTER * (2 * part - 1))


def _times(count: int) -> str:
    return "1 failure" if count == 1 else f"{count} failures"
