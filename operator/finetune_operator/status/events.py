"""What is new for people between two statuses; `events` is the entry. One event per change of state.

Not here: posting them (`cluster.publish`).
"""

from __future__ import annotations

from finetune_operator.api.v1alpha1.reasons import Phase, Reason
from finetune_operator.api.v1alpha1.status import AttemptStatus, FineTuneJobStatus, PlanStatus
from finetune_operator.reconcile.actions import Event
from finetune_operator.reconcile.snapshot import PodFacts, Snapshot

_UNEASY = frozenset({Phase.PENDING, Phase.RESTARTING})
_ASKED = frozenset({Reason.SUCCEEDED, Reason.SUSPENDED, Reason.CANCELLED})
_QUIET = frozenset({Reason.CREATED, Reason.INSPECTING, Reason.RESUMED})


def events(old: FineTuneJobStatus, new: FineTuneJobStatus) -> tuple[Event, ...]:
    """Return the events of a change, oldest first."""
    planned = () if old.plan is not None or new.plan is None else (_planned(new.plan),)
    if (new.phase is old.phase and _reason(new) == _reason(old)) or _reason(new) == Reason.POD_PENDING:
        return planned
    if planned and _reason(new) == Reason.CREATED:
        return planned  # a job that is planned is begun in the same pass: one change, one event
    if (broken := _broken_off(old, new)) is not None and new.completion_time is None:
        return (*planned, Event(broken.reason or _reason(new), new.message or broken.message or "", warning=True))
    if new.phase is Phase.SUCCEEDED:
        return (*planned, Event("Succeeded", _gain(new), warning=False))
    if old.phase is Phase.RESTARTING and _reason(new) == Reason.RESTARTING:
        return planned  # the pause is over: why there was one has been told
    trouble = new.phase is Phase.FAILED or (new.phase in _UNEASY and _reason(new) not in _QUIET)
    return (*planned, Event(_reason(new), new.message or "", warning=trouble))


def of_pods(seen: Snapshot, new: FineTuneJobStatus) -> tuple[tuple[PodFacts, Event], ...]:
    """Return the events about pods: why an attempt broke off, on the pod that failed first, as far as it is known."""
    broken = _broken_off(seen.previous, new)
    pods = [pod for pod in seen.pods if broken is not None and pod.attempt == broken.number]
    if broken is None or not pods:
        return ()
    return ((min(pods, key=_fate), Event(broken.reason or "", broken.message or "", warning=True)),)


def _fate(pod: PodFacts) -> tuple[bool, float, int]:
    ending = pod.ending
    well = ending is None or ending.exit_code == 0
    return well, 0.0 if ending is None or well else ending.finished_at, pod.rank


def _broken_off(old: FineTuneJobStatus, new: FineTuneJobStatus) -> AttemptStatus | None:
    """Return the newest attempt that has ended since, other than as it should."""
    known = {attempt.number for attempt in old.attempts if attempt.end_time is not None}
    ended = (one for one in reversed(new.attempts) if one.end_time is not None and one.number not in known)
    return next((one for one in ended if one.reason and one.reason not in _ASKED), None)


def _planned(plan: PlanStatus) -> Event:
    what = f"{plan.method} on {plan.devices}x{plan.accelerator}, micro-batch {plan.micro_batch_size}"
    return Event("Planned", f"{what}; the reasons are in status.plan", warning=False)


def _reason(status: FineTuneJobStatus) -> str:
    return status.columns.reason if status.columns else ""


def _gain(status: FineTuneJobStatus) -> str:
    result = status.result
    if result is None:
        return status.message or ""
    gains = [
        f"{name} {result.metrics_before[name]:.4g} -> {value:.4g}"
        for name, value in result.metrics_after.items()
        if name in result.metrics_before
    ]
    return ", ".join(gains) or status.message or ""
