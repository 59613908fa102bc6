"""How what runs is brought to an end: its Job is deleted, its pods save and exit, and then nothing lives any more.

Not here: when (`reconcile.decide`), what saving is (the trainer).
"""

from __future__ import annotations

import math

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.reconcile import deadline
from finetune_operator.reconcile.actions import Action, Decision, Delete, State, Verdict
from finetune_operator.reconcile.attempts.history import Attempts, last_report, reason_of
from finetune_operator.reconcile.snapshot import Snapshot

LOOK_AGAIN_FOR_END = 2.0
"""Seconds between looks for the last word of an attempt that is ending; the watches tell it sooner as a rule."""

_WORDS = {
    Reason.SUSPENDED: (State.SUSPENDING, Reason.SUSPENDING, "the trainer saves its state and frees the devices"),
    Reason.CANCELLED: (State.STOPPING, Reason.CANCELLING, "the trainer saves its state and ends for good"),
    Reason.DEADLINE_EXCEEDED: (
        State.STOPPING,
        Reason.DEADLINE_EXCEEDED,
        "spec.activeDeadlineSeconds is over: the trainer saves its state and ends",
    ),
}


def under_way(attempts: Attempts) -> bool:
    """Whether the newest attempt has not come to its end."""
    return bool(attempts) and attempts[-1].end_time is None


def stop(seen: Snapshot, attempts: Attempts, why: Reason, message: str = "") -> Decision:
    """Return the decision that ends the newest attempt. Why is remembered, unless it was being ended before."""
    last = attempts[-1]
    asked = reason_of(last) or why
    # What counts for the deadline is counted now: once its Job is gone nobody knows since when it was active.
    active = last.active_seconds + math.ceil(deadline.seconds_running(seen, attempts))
    remembered = last.model_copy(
        update={"reason": asked.value, "message": last.message or message or None, "active_seconds": active}
    )
    return Decision(
        _verdict(seen, why, message),
        actions=deletions(seen, last.number),
        attempts=(*attempts[:-1], remembered),
        requeue_after=LOOK_AGAIN_FOR_END,
    )


def vanish(seen: Snapshot, attempts: Attempts) -> Decision:
    """Return the decision for an attempt whose Job goes without our asking: its pods go too, and then it is over."""
    words = f"the Job of attempt {attempts[-1].number} was deleted; what is left of it ends first"
    return Decision(
        Verdict(State.RESTARTING, Reason.INTERRUPTED, words, last_report(seen)),
        actions=deletions(seen, attempts[-1].number),
        attempts=attempts,
        requeue_after=LOOK_AGAIN_FOR_END,
    )


def deletions(seen: Snapshot, attempt: int) -> tuple[Action, ...]:
    """Return what has to be deleted for an attempt to end: its Job, or pods that were left behind without one."""
    workload, namespace = seen.workload_of(attempt), seen.meta.key.namespace
    if workload is None:
        return tuple(
            Delete(kind="Pod", namespace=namespace, name=pod.name, uid=pod.uid)
            for pod in seen.pods
            if pod.attempt == attempt and pod.alive and not pod.deleting
        )
    if workload.deleting or workload.finished_at is not None:
        return ()
    return (Delete(kind=workload.kind, namespace=namespace, name=workload.name, uid=workload.uid),)


def _verdict(seen: Snapshot, why: Reason, message: str) -> Verdict:
    state, reason, words = _WORDS.get(why, (State.STOPPING, why, message))
    return Verdict(state, reason, words, last_report(seen))
