"""The conditions of a job, one function each; `conditions` calls them all."""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1.reasons import ConditionType, Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import CheckpointStatus, Condition
from finetune_operator.reconcile import inspection
from finetune_operator.reconcile.actions import Result, State, Verdict
from finetune_operator.reconcile.attempts.saved import ephemeral
from finetune_operator.reconcile.snapshot import Snapshot
from finetune_operator.reconcile.startup import QUOTA

ENDS = frozenset({State.REFUSED, State.SUCCEEDED, State.FAILED, State.CANCELLED})

RUNNING = frozenset({State.STARTING, State.TRAINING})

AT_REST = ENDS | RUNNING | {State.SUSPENDED}
"""States in which a job is where it was asked to be, for now."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A condition before it has a time: what is true, why, and in which words."""

    type: ConditionType
    status: str
    reason: Reason
    message: str


def conditions(
    seen: Snapshot, verdict: Verdict, result: Result, checkpoint: CheckpointStatus | None
) -> tuple[Condition, ...]:
    """Return every condition, each with the time at which its status changed last."""
    observed = (
        accepted(seen, verdict),
        *admitted(seen, verdict),
        running(verdict, result),
        suspended(verdict, checkpoint),
        checkpoint_available(seen, checkpoint),
        finished(verdict),
        succeeded(verdict),
        *reconciling(verdict, result),
        *stalled(verdict),
    )
    return tuple(_timed(seen, one) for one in observed)


def accepted(seen: Snapshot, verdict: Verdict) -> Observation:
    """Whether the spec is resolved to a plan; unknown while the model's own numbers are."""
    if verdict.state is State.REFUSED:
        return Observation(ConditionType.ACCEPTED, "False", verdict.reason, verdict.message)
    if inspection.pending(seen):
        words = "there is no plan before the model's config.json is read"
        return Observation(ConditionType.ACCEPTED, "Unknown", verdict.reason, words)
    return Observation(ConditionType.ACCEPTED, "True", Reason.PLANNED, "the plan is in status.plan")


def admitted(seen: Snapshot, verdict: Verdict) -> tuple[Observation, ...]:
    """Whether the queue has given its place; absent where the job has no queue."""
    queue = seen.spec.queue_name if isinstance(seen.spec, FineTuneJobSpec) else None
    if queue is None:
        return ()
    workload = seen.workload
    if workload is not None and workload.started_at is not None and not workload.suspended:
        return (Observation(ConditionType.ADMITTED, "True", Reason.ADMITTED, f"queue '{queue}' gave it a place"),)
    if verdict.state in ENDS or verdict.state is State.SUSPENDED:
        return (Observation(ConditionType.ADMITTED, "False", verdict.reason, "it holds no place in a queue"),)
    before = next((one for one in seen.previous.conditions if one.type == ConditionType.ADMITTED), None)
    evicted = before is not None and (before.status == "True" or before.reason == Reason.EVICTED)
    if workload is not None and workload.suspended and evicted:
        words = (
            seen.trouble.message if seen.trouble else workload.suspended_message
        ) or "the queue took its place back"
        return (Observation(ConditionType.ADMITTED, "False", Reason.EVICTED, words),)
    words = verdict.message if verdict.state is State.QUEUED else f"waits for a place in queue '{queue}'"
    return (Observation(ConditionType.ADMITTED, "False", Reason.QUEUED, words),)


def running(verdict: Verdict, result: Result) -> Observation:
    """Whether the trainer's process is up."""
    if verdict.state in RUNNING:
        return Observation(ConditionType.RUNNING, "True", verdict.reason, verdict.message)
    if result.refused is not None and verdict.state not in ENDS:
        return Observation(ConditionType.RUNNING, "False", refusal_reason(result), refusal(result))
    return Observation(ConditionType.RUNNING, "False", verdict.reason, verdict.message)


def suspended(verdict: Verdict, checkpoint: CheckpointStatus | None) -> Observation:
    """Whether the job rests at its user's wish: no pod, no device."""
    if verdict.state is State.SUSPENDED:
        saved = checkpoint is not None and checkpoint.resumable
        where = f"it resumes at step {checkpoint.step}" if checkpoint and saved else "it begins at the first step"
        return Observation(ConditionType.SUSPENDED, "True", Reason.SUSPENDED, f"no pod, no device; {where}")
    if verdict.state is State.SUSPENDING:
        return Observation(ConditionType.SUSPENDED, "False", Reason.SUSPENDING, verdict.message)
    return Observation(ConditionType.SUSPENDED, "False", Reason.ACTIVE, "")


def checkpoint_available(seen: Snapshot, checkpoint: CheckpointStatus | None) -> Observation:
    """Whether an attempt could resume; where it never could, that is told before the first is begun."""
    if ephemeral(seen.spec):
        words = "ephemeral storage goes with its pod: nothing can resume; set checkpoints.storage.template or claim"
        return Observation(ConditionType.CHECKPOINT_AVAILABLE, "False", Reason.EPHEMERAL, words)
    if checkpoint is None or not checkpoint.resumable:
        return Observation(ConditionType.CHECKPOINT_AVAILABLE, "False", Reason.NONE_YET, "no checkpoint to resume from")
    return Observation(ConditionType.CHECKPOINT_AVAILABLE, "True", Reason.SAVED, f"saved at step {checkpoint.step}")


def finished(verdict: Verdict) -> Observation:
    """Whether the job has ended, however it did."""
    if verdict.state in ENDS:
        return Observation(ConditionType.FINISHED, "True", verdict.reason, verdict.message)
    return Observation(ConditionType.FINISHED, "False", Reason.ACTIVE, "")


def succeeded(verdict: Verdict) -> Observation:
    """Whether the job brought its result; unknown while it may still."""
    if verdict.state is State.SUCCEEDED:
        return Observation(ConditionType.SUCCEEDED, "True", Reason.SUCCEEDED, verdict.message)
    if verdict.state in ENDS:
        return Observation(ConditionType.SUCCEEDED, "False", verdict.reason, verdict.message)
    return Observation(ConditionType.SUCCEEDED, "Unknown", Reason.ACTIVE, "")


def reconciling(verdict: Verdict, result: Result) -> tuple[Observation, ...]:
    """The kstatus word for on-its-way: absent while the trainer is up, at rest, and after the end."""
    if verdict.state in AT_REST:
        return ()
    if result.refused is not None:
        return (Observation(ConditionType.RECONCILING, "True", refusal_reason(result), refusal(result)),)
    return (Observation(ConditionType.RECONCILING, "True", verdict.reason, verdict.message),)


def stalled(verdict: Verdict) -> tuple[Observation, ...]:
    """The kstatus word for will-not-get-there: present once the job has failed."""
    if verdict.state in ENDS - {State.SUCCEEDED}:
        return (Observation(ConditionType.STALLED, "True", verdict.reason, verdict.message),)
    return ()


def refusal(result: Result) -> str:
    """Return the API server's own words about an object that it did not take, or does not let go."""
    refused = result.refused
    if refused is None:
        return ""
    return f"{refused.kind} {refused.name}{' cannot be deleted' if refused.deleting else ''}: {refused.message}"


def refusal_reason(result: Result) -> Reason:
    """Return the reason for what the API server did not do."""
    return Reason.QUOTA_EXCEEDED if result.refused and QUOTA in result.refused.message else Reason.REFUSED_BY_API


def _timed(seen: Snapshot, observed: Observation) -> Condition:
    before = next((c for c in seen.previous.conditions if c.type == observed.type), None)
    same = before is not None and before.status == observed.status
    return Condition.model_validate(
        {
            "type": observed.type.value,
            "status": observed.status,
            "observedGeneration": seen.meta.generation,
            "lastTransitionTime": before.last_transition_time if before and same else timestamps.write(seen.now),
            "reason": observed.reason.value,
            "message": observed.message,
        }
    )
