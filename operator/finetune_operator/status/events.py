"""What is new for people between two statuses; `events` is the entry. One event per change of state.

Not here: posting them (`cluster.publish`).
"""

from __future__ import annotations

from finetune_operator.api.v1alpha1.reasons import Phase, Reason
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus, PlanStatus
from finetune_operator.reconcile.actions import Event

_UNEASY = frozenset({Phase.PENDING, Phase.RESTARTING})
_QUIET = frozenset({Reason.CREATED, Reason.INSPECTING, Reason.RESUMED})


def events(old: FineTuneJobStatus, new: FineTuneJobStatus) -> tuple[Event, ...]:
    """Return the events of a change, oldest first."""
    planned = () if old.plan is not None or new.plan is None else (_planned(new.plan),)
    if (new.phase is old.phase and _reason(new) == _reason(old)) or _reason(new) == Reason.POD_PENDING:
        return planned
    if planned and _reason(new) == Reason.CREATED:
        return planned  # a job that is planned is begun in the same pass: one change, one event
    if new.phase is Phase.SUCCEEDED:
        return (*planned, Event("Succeeded", _gain(new), warning=False))
    if old.phase is Phase.RESTARTING and _reason(new) == Reason.RESTARTING:
        return planned  # the pause is over: why there was one has been told
    trouble = new.phase is Phase.FAILED or (new.phase in _UNEASY and _reason(new) not in _QUIET)
    return (*planned, Event(_reason(new), new.message or "", warning=trouble))


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
