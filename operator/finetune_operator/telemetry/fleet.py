"""Counts what a written status means for the fleet: a first status, a start, a retry, an end, device time."""

from __future__ import annotations

from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1.reasons import ConditionType, Phase, Reason
from finetune_operator.api.v1alpha1.status import AttemptStatus, FineTuneJobStatus, PlanStatus
from finetune_operator.reconcile.snapshot import Snapshot
from finetune_operator.telemetry import fleet_metrics as metrics
from finetune_operator.telemetry import words
from finetune_operator.telemetry.instruments import Instruments

MAX_NAMESPACES = 50
"""Namespaces with series of their own."""

RETIRE_AFTER = 3600.0
"""Seconds without news after which a namespace makes room for another; Prometheus keeps what it has seen of it."""

ELSEWHERE = "_other"
"""The namespace under which all that are too many count together; no real one can have this name."""

SUCCEEDED, FAILED, CANCELLED = words.ENDS
USEFUL, WASTED = words.OUTCOMES

_RESULTS = {Phase.SUCCEEDED: SUCCEEDED, Phase.CANCELLED: CANCELLED}


class Fleet:
    """The counters over all jobs."""

    def __init__(self, made: Instruments) -> None:
        self._made = made
        self._news: dict[str, float] = {}

    def moved(self, seen: Snapshot, after: FineTuneJobStatus) -> None:
        """Count the difference between the status that was and the one that has just been written."""
        before = seen.previous
        namespace, method = self._namespace(seen.meta.key.namespace, seen.now), _method(after)
        age = max(0.0, seen.now - seen.meta.created_at)
        if before.observed_generation is None:
            self._made.observe(metrics.FIRST_STATUS_SECONDS, age)
            self._made.count(metrics.CREATED, namespace, method)
        if before.plan is None and after.plan is not None:
            self._foresee(after.plan.accelerator, method, namespace)
        self._count_start(seen, after, namespace)
        for attempt in _new_attempts(before, after):
            reason = words.counted_as(_reason_before(after, attempt))
            self._made.count(metrics.RESTARTS, namespace, words.one_of(words.RESTART_REASONS, reason))
        for attempt in _ended(before, after):
            self._count_device_time(before.plan or after.plan, attempt, useful_share(after, attempt), namespace)
        if after.completion_time is not None and before.completion_time is None:
            self._count_end(after, (namespace, method), age)

    def deleted(self, namespace: str, last: FineTuneJobStatus, now: float) -> None:
        """Count as wasted what the attempt of a job used that was deleted while it ran: no status tells its end."""
        for attempt in last.attempts:
            if attempt.end_time is None and last.completion_time is None:
                over = attempt.model_copy(update={"end_time": timestamps.write(now)})
                self._count_device_time(last.plan, over, 0.0, self._namespace(namespace, now))

    def _foresee(self, accelerator: str, method: str, namespace: str) -> None:
        """Show at 0 what a job with a plan will count, so that rates see the first of a kind."""
        kind = words.one_of(words.ACCELERATORS, accelerator)
        for outcome in words.OUTCOMES:
            self._made.count(metrics.GPU_SECONDS, namespace, kind, outcome, by=0)
        for result in words.ENDS:
            self._made.show_histogram(metrics.DURATION_SECONDS, method, result)
        self._show_ends(namespace, method)

    def _count_start(self, seen: Snapshot, after: FineTuneJobStatus, namespace: str) -> None:
        before = seen.previous
        if after.start_time is None:
            return
        started = timestamps.parse(after.start_time)
        if before.start_time is None:
            self._made.observe(metrics.QUEUE_WAIT, max(0.0, started - seen.meta.created_at), namespace)
        if _steps(after) > 0 and _steps(before) == 0:
            admitted = _admitted(after, seen.meta.created_at)
            self._made.observe(metrics.STARTUP_SECONDS, max(0.0, seen.now - admitted))

    def _count_end(self, after: FineTuneJobStatus, labels: tuple[str, str], age: float) -> None:
        (namespace, method), result = labels, _RESULTS.get(after.phase or Phase.FAILED, FAILED)
        self._made.count(metrics.FINISHED, namespace, method, result)
        self._made.observe(metrics.DURATION_SECONDS, age, method, result)
        if result == FAILED:
            reason = words.one_of(
                words.FAILURE_REASONS, words.counted_as(_finished_reason(after)), Reason.UNKNOWN.value
            )
            self._made.count(metrics.FAILURES, namespace, reason, words.blame(reason))

    def _count_device_time(
        self, plan: PlanStatus | None, attempt: AttemptStatus, useful: float, namespace: str
    ) -> None:
        if plan is None or attempt.start_time is None or attempt.end_time is None:
            return
        seconds = plan.devices * max(0.0, timestamps.parse(attempt.end_time) - timestamps.parse(attempt.start_time))
        kind = words.one_of(words.ACCELERATORS, plan.accelerator)
        self._made.count(metrics.GPU_SECONDS, namespace, kind, USEFUL, by=seconds * useful)
        self._made.count(metrics.GPU_SECONDS, namespace, kind, WASTED, by=seconds * (1 - useful))

    def _namespace(self, name: str, now: float) -> str:
        """Return the label value of a namespace; a new one shows all its counters at 0, so that rates see a first 1."""
        if name not in self._news:
            if len(self._news) >= MAX_NAMESPACES and not self._retire(now):
                name = ELSEWHERE
            if name not in self._news:
                self._show(name)
        self._news[name] = now
        return name

    def _retire(self, now: float) -> bool:
        oldest = min((name for name in self._news if name != ELSEWHERE), key=self._news.__getitem__)
        if now - self._news[oldest] < RETIRE_AFTER:
            return False
        del self._news[oldest]
        self._made.remove("namespace", oldest)
        return True

    def _show(self, namespace: str) -> None:
        self._made.show_histogram(metrics.QUEUE_WAIT, namespace)
        for method in words.METHODS:
            self._made.count(metrics.CREATED, namespace, method, by=0)
        self._show_ends(namespace, words.NONE)
        for reason in words.FAILURE_REASONS:
            self._made.count(metrics.FAILURES, namespace, reason, words.blame(reason), by=0)
        for reason in words.RESTART_REASONS:
            self._made.count(metrics.RESTARTS, namespace, reason, by=0)

    def _show_ends(self, namespace: str, method: str) -> None:
        for result in words.ENDS:
            self._made.count(metrics.FINISHED, namespace, method, result, by=0)


def useful_share(status: FineTuneJobStatus, attempt: AttemptStatus) -> float:
    """Return which part of an attempt's time led to something: 1 with a result, else the steps that a checkpoint keeps.

    What a job did that failed in the end is lost, its checkpoint included.
    """
    if status.phase is Phase.SUCCEEDED:
        return 1.0
    saved = status.checkpoint
    if status.completion_time is not None or saved is None or not saved.resumable:
        return 0.0
    began = attempt.resumed_from_step or 0
    done = _steps(status) - began
    return min(1.0, max(0.0, (saved.step - began) / done)) if done > 0 else 0.0


def _method(status: FineTuneJobStatus) -> str:
    return words.one_of(words.METHODS, status.plan.method, words.NONE) if status.plan else words.NONE


def _admitted(status: FineTuneJobStatus, otherwise: float) -> float:
    """Return when its queue gave a job its place; a job without one has it from the start."""
    found = (one for one in status.conditions if one.type == ConditionType.ADMITTED and one.status == "True")
    return next((timestamps.parse(one.last_transition_time) for one in found), otherwise)


def _steps(status: FineTuneJobStatus) -> int:
    return status.progress.step if status.progress else 0


def _new_attempts(before: FineTuneJobStatus, after: FineTuneJobStatus) -> tuple[AttemptStatus, ...]:
    known = {attempt.number for attempt in before.attempts}
    return tuple(attempt for attempt in after.attempts if attempt.number not in known and attempt.number > 1)


def _reason_before(status: FineTuneJobStatus, attempt: AttemptStatus) -> str:
    earlier = [one for one in status.attempts if one.number == attempt.number - 1]
    return (earlier[0].reason or "") if earlier else ""


def _ended(before: FineTuneJobStatus, after: FineTuneJobStatus) -> tuple[AttemptStatus, ...]:
    known = {attempt.number for attempt in before.attempts if attempt.end_time is not None}
    return tuple(attempt for attempt in after.attempts if attempt.end_time is not None and attempt.number not in known)


def _finished_reason(status: FineTuneJobStatus) -> str:
    return next((c.reason for c in status.conditions if c.type == ConditionType.FINISHED), "")
