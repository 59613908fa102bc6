"""What is new for people between two statuses; `events` is the entry. One event per change of state.

Not here: posting them (`cluster.publish`).
"""

from __future__ import annotations

from finetune_operator.api.v1alpha1.reasons import Phase, Reason
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus, PlanStatus
from finetune_operator.reconcile.actions import Event


def events(old: FineTuneJobStatus, new: FineTuneJobStatus) -> tuple[Event, ...]:
    """Return the events of a change, oldest first."""
    planned = () if old.plan is not None or new.plan is None else (_planned(new.plan),)
    if (new.phase is old.phase and _reason(new) == _reason(old)) or _reason(new) == Reason.POD_PENDING:
        return planned
    if new.phase is Phase.SUCCEEDED:
        return (*planned, Event("Succeeded", _gain(new), warning=False))
    trouble = new.phase is Phase.FAILED or (new.phase is Phase.PENDING and _reason(new) != Reason.CREATED)
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
