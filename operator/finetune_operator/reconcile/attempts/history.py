"""What is known of every attempt: what status remembers, and what Jobs and pods show since; `history` is the entry.

A Job that status does not know is taken in, so a lost status is told again. An end, once remembered, never changes.
"""

from __future__ import annotations

import math

from finetune_trainer.contract import ExitReport, Outcome

from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1.reasons import INFRASTRUCTURE, ConditionType, Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import AttemptStatus
from finetune_operator.reconcile.attempts import failure, saved
from finetune_operator.reconcile.attempts.failure import Cause
from finetune_operator.reconcile.snapshot import PodFacts, Snapshot, Workload

LAST_WORD_GRACE = 10.0
"""Seconds that the news of a pod's end may come after that of its Job's: they travel on two watches."""

REMEMBERED = 64
"""Attempts that status holds before those from which nothing follows any more are folded into the ones after them."""

Attempts = tuple[AttemptStatus, ...]


def history(seen: Snapshot) -> Attempts:
    """Return every attempt, oldest first."""
    known = {one.number: one for one in seen.previous.attempts}
    for workload in seen.workloads:
        known.setdefault(workload.attempt, _taken_in(workload))
    return _shortened(seen, tuple(_renewed(seen, known[number]) for number in sorted(known)))


def reason_of(attempt: AttemptStatus) -> Reason | None:
    """Return why an attempt ended or is being ended; a word of another version counts as unknown."""
    if attempt.reason is None:
        return None
    return Reason(attempt.reason) if attempt.reason in set(Reason) else Reason.UNKNOWN


def since_advance(attempts: Attempts) -> Attempts:
    """Return the attempts after the newest one that saved a later checkpoint than all before it had."""
    furthest = 0
    since = attempts
    for place, one in enumerate(attempts, 1):
        if one.checkpoint_step is not None and one.checkpoint_step > furthest:
            furthest, since = one.checkpoint_step, attempts[place:]
    return since


def last_report(seen: Snapshot) -> ExitReport | None:
    """Return the last word of the newest attempt's trainer."""
    return failure.exit_report(seen.pod.ending) if seen.pod else None


def _taken_in(workload: Workload) -> AttemptStatus:
    return AttemptStatus(
        number=workload.attempt,
        job=workload.name,
        change=workload.change,
        rung=workload.rung,
        memory_raises=workload.memory_raises,
    )


def _renewed(seen: Snapshot, known: AttemptStatus) -> AttemptStatus:
    if known.end_time is not None:
        return known
    workload, pods = seen.workload_of(known.number), seen.pods_of(known.number)
    known = _followed(seen, known, workload, pods)
    if not _over(seen, workload, pods):
        return known
    cause = _cause(seen, known, workload, pods)
    ended_at = _ended_at(seen, workload, pods)
    return known.model_copy(
        update={
            "end_time": timestamps.write(ended_at),
            "reason": cause.reason.value,
            "message": None if cause.reason is Reason.SUCCEEDED else cause.message or None,
            "checkpoint_step": saved.newest(seen, known.number),
            "active_seconds": known.active_seconds + (0 if known.reason else _active(known, workload, ended_at)),
        }
    )


def _followed(
    seen: Snapshot, known: AttemptStatus, workload: Workload | None, pods: tuple[PodFacts, ...]
) -> AttemptStatus:
    """Return an attempt with what its Job and pods show now."""
    if workload is not None and workload.suspended:
        return _evicted(seen, known, workload)
    started = min((pod.started_at for pod in pods if pod.started_at is not None), default=None)
    report = failure.exit_report(pods[0].ending) if pods else None
    resumed = report.resumed_from_step if report else None
    if resumed is None and seen.progress and seen.progress.attempt == known.number:
        resumed = seen.progress.resumed_from_step
    return known.model_copy(
        update={
            "start_time": known.start_time if started is None else timestamps.write(started),
            "resumed_from_step": known.resumed_from_step if resumed is None else resumed,
            "queued_seconds": _queued(seen, known, workload),
        }
    )


def _evicted(seen: Snapshot, known: AttemptStatus, workload: Workload) -> AttemptStatus:
    """Return an attempt whose queue took its place back: its Job was active until then, and will be again later."""
    since = _active_since(seen, known, workload)
    if since is None:
        return known
    until = workload.suspended_at if workload.suspended_at is not None else seen.now
    ran = max(0, math.ceil(until - since))
    return known.model_copy(update={"start_time": None, "active_seconds": known.active_seconds + ran})


def _active_since(seen: Snapshot, known: AttemptStatus, workload: Workload) -> float | None:
    """Return since when a Job was active that is held back now and does not tell it any more; None where it was not.

    Its queue told it, or else its pod did. Once it is counted, neither does.
    """
    admitted = next((one for one in seen.previous.conditions if one.type == ConditionType.ADMITTED), None)
    since = [] if known.start_time is None else [timestamps.parse(known.start_time)]
    if admitted is not None and admitted.status == "True":  # since an attempt before, if this was not seen to wait
        since.append(max(workload.created_at, timestamps.parse(admitted.last_transition_time)))
    return min(since, default=None)


def _queued(seen: Snapshot, known: AttemptStatus, workload: Workload | None) -> int | None:
    """Return the seconds that an attempt waited for its queue, in all; counted when it is admitted."""
    asked = isinstance(seen.spec, FineTuneJobSpec) and seen.spec.queue_name is not None
    if not asked or workload is None or workload.started_at is None:
        return known.queued_seconds
    admitted = next((one for one in seen.previous.conditions if one.type == ConditionType.ADMITTED), None)
    if known.queued_seconds is not None and (admitted is None or admitted.status != "False"):
        return known.queued_seconds
    since = workload.created_at
    if known.queued_seconds is not None and admitted is not None:
        since = timestamps.parse(admitted.last_transition_time)
    return (known.queued_seconds or 0) + max(0, round(workload.started_at - since))


def _over(seen: Snapshot, workload: Workload | None, pods: tuple[PodFacts, ...]) -> bool:
    """Whether nothing of an attempt lives any more, and its last word is known or will not come."""
    told = all(_told(pod, seen.now) for pod in pods)
    if workload is None:
        return seen.listed and told and not any(pod.alive for pod in pods)
    if workload.finished_at is None:
        return False
    return (bool(pods) and told) or seen.now - workload.finished_at >= LAST_WORD_GRACE


def _told(pod: PodFacts, now: float) -> bool:
    if pod.gone_at is not None and pod.ending is None:
        return now - pod.gone_at >= LAST_WORD_GRACE
    return pod.ending is not None or not pod.alive


def _cause(seen: Snapshot, known: AttemptStatus, workload: Workload | None, pods: tuple[PodFacts, ...]) -> Cause:
    if _succeeded(workload, pods):
        return Cause(Reason.SUCCEEDED, "")
    asked = reason_of(known)
    if asked is not None:
        return Cause(asked, known.message or "")
    found = failure.cause(workload, pods)
    suspend = isinstance(seen.spec, FineTuneJobSpec) and seen.spec.suspend
    if found.reason is Reason.INTERRUPTED and suspend:  # asked for, but not remembered: the status was not written
        return Cause(Reason.SUSPENDED, found.message)
    return found


def _succeeded(workload: Workload | None, pods: tuple[PodFacts, ...]) -> bool:
    """Whether an attempt brought its result; also while its Job was being deleted, which then never says so."""
    if workload is not None:
        return workload.complete
    report = failure.exit_report(pods[0].ending) if pods and pods[0].rank == 0 else None
    return report is not None and report.outcome is Outcome.SUCCEEDED


def _ended_at(seen: Snapshot, workload: Workload | None, pods: tuple[PodFacts, ...]) -> float:
    last = max((pod.ending.finished_at for pod in pods if pod.ending), default=0.0)
    if last:
        return last
    return workload.finished_at if workload and workload.finished_at is not None else seen.now


def _active(known: AttemptStatus, workload: Workload | None, until: float) -> int:
    started = workload.started_at if workload else None
    if started is None:
        started = timestamps.parse(known.start_time) if known.start_time else until
    return max(0, math.ceil(until - started))  # never less than it was: the deadline must not leave a rest


def _shortened(seen: Snapshot, attempts: Attempts) -> Attempts:
    """Return the attempts without the oldest that count for nothing, where they are too many to remember."""
    kept = attempts
    while len(kept) > REMEMBERED:
        place = next((n for n in _foldable(kept) if seen.workload_of(kept[n].number) is None), None)
        if place is None:
            break
        after = kept[place + 1]
        longer = after.model_copy(update={"active_seconds": after.active_seconds + kept[place].active_seconds})
        kept = (*kept[:place], longer, *kept[place + 2 :])
    return kept


def _foldable(attempts: Attempts) -> list[int]:
    """Return the places of attempts that were suspended, or broken off by the cluster before the last advance."""
    advance = len(attempts) - len(since_advance(attempts)) - 1
    return [
        place
        for place, one in enumerate(attempts[:-1])
        if place != advance
        if one.reason == Reason.SUSPENDED or (place < advance and one.reason in INFRASTRUCTURE)
    ]
