"""How long a job may still be active, and how long its pods may take to start.

What counts is the time that its Jobs were active, over all attempts: neither suspended nor queued time does.
"""

from __future__ import annotations

from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.reconcile.attempts.history import Attempts
from finetune_operator.reconcile.snapshot import Snapshot, Workload


def seconds_left(seen: Snapshot, spec: FineTuneJobSpec, attempts: Attempts) -> float | None:
    """Return the seconds that the job may still be active, 0 or less once it is over its deadline; None without one."""
    if spec.active_deadline_seconds is None:
        return None
    return spec.active_deadline_seconds - sum(one.active_seconds for one in attempts) - seconds_running(seen, attempts)


def seconds_to_start(seen: Snapshot, workload: Workload) -> float | None:
    """Return the seconds that the pods of an active Job may still take to start; None where they have for ever."""
    allowed = seen.profiles.trainer.start_deadline_seconds
    return allowed - seconds_active(seen, workload) if allowed else None


def seconds_active(seen: Snapshot, workload: Workload) -> float:
    """Return the seconds since the Job may have pods."""
    return seen.now - (workload.started_at if workload.started_at is not None else workload.created_at)


def seconds_running(seen: Snapshot, attempts: Attempts) -> float:
    """Return the seconds since the newest attempt is active, which it does not count itself before it is stopped."""
    if not attempts or attempts[-1].end_time is not None or attempts[-1].reason is not None:
        return 0.0
    workload = seen.workload_of(attempts[-1].number)
    if workload is None or workload.suspended or workload.started_at is None:
        return 0.0
    return max(0.0, (workload.finished_at or seen.now) - workload.started_at)
