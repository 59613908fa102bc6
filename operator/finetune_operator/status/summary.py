"""One-word phase and the texts of the columns, derived from what else is in status."""

from __future__ import annotations

from finetune_operator.api.v1alpha1.reasons import Phase
from finetune_operator.api.v1alpha1.status import Columns, PlanStatus, ProgressStatus
from finetune_operator.reconcile.actions import State

MINUTE = 60
HOUR = 3600
DAY = 86400

PHASES = {
    State.REFUSED: Phase.FAILED,
    State.INSPECTING: Phase.PENDING,
    State.WAITING: Phase.PENDING,
    State.CREATING: Phase.PENDING,
    State.QUEUED: Phase.QUEUED,
    State.PENDING: Phase.PENDING,
    State.STARTING: Phase.STARTING,
    State.TRAINING: Phase.RUNNING,
    State.RESTARTING: Phase.RESTARTING,
    State.SUSPENDING: Phase.SUSPENDING,
    State.SUSPENDED: Phase.SUSPENDED,
    State.STOPPING: Phase.STOPPING,
    State.SUCCEEDED: Phase.SUCCEEDED,
    State.FAILED: Phase.FAILED,
    State.CANCELLED: Phase.CANCELLED,
}


def columns(progress: ProgressStatus | None, plan: PlanStatus | None, reason: str, attempt: int | None) -> Columns:
    """Return the texts that `kubectl get` prints."""
    return Columns(
        progress=f"{progress.percent}%" if progress else "",
        step=f"{progress.step}/{progress.total_steps}" if progress and progress.total_steps else "",
        loss=f"{progress.loss:.4g}" if progress and progress.loss is not None else "",
        eta=duration(progress.eta_seconds) if progress and progress.eta_seconds is not None else "",
        devices=f"{plan.devices}x{plan.accelerator}" if plan else "",
        reason=reason,
        attempt=str(attempt) if attempt is not None else "",
    )


def duration(seconds: int) -> str:
    """Write a duration with its two largest units, as kubectl writes ages."""
    if seconds < MINUTE:
        return f"{seconds}s"
    if seconds < HOUR:
        return f"{seconds // MINUTE}m{seconds % MINUTE}s"
    if seconds < DAY:
        return f"{seconds // HOUR}h{seconds % HOUR // MINUTE}m"
    return f"{seconds // DAY}d{seconds % DAY // HOUR}h"
