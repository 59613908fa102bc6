"""The conditions of a job, one function each; `conditions` calls them all."""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1.reasons import ConditionType, Reason
from finetune_operator.api.v1alpha1.status import CheckpointStatus, Condition
from finetune_operator.reconcile.actions import Result, State, Verdict
from finetune_operator.reconcile.snapshot import Snapshot

ENDS = frozenset({State.REFUSED, State.SUCCEEDED, State.FAILED})

RUNNING = frozenset({State.STARTING, State.TRAINING})


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
        accepted(verdict),
        running(verdict, result),
        checkpoint_available(checkpoint),
        finished(verdict),
        succeeded(verdict),
        *reconciling(verdict, result),
        *stalled(verdict),
    )
    return tuple(_timed(seen, one) for one in observed)


def accepted(verdict: Verdict) -> Observation:
    """Whether the spec is resolved to a plan."""
    if verdict.state is State.REFUSED:
        return Observation(ConditionType.ACCEPTED, "False", verdict.reason, verdict.message)
    return Observation(ConditionType.ACCEPTED, "True", Reason.PLANNED, "the plan is in status.plan")


def running(verdict: Verdict, result: Result) -> Observation:
    """Whether the trainer's process is up."""
    if verdict.state in RUNNING:
        return Observation(ConditionType.RUNNING, "True", verdict.reason, verdict.message)
    if result.refused is not None:
        return Observation(ConditionType.RUNNING, "False", Reason.REFUSED_BY_API, refusal(result))
    return Observation(ConditionType.RUNNING, "False", verdict.reason, verdict.message)


def checkpoint_available(checkpoint: CheckpointStatus | None) -> Observation:
    """Whether an attempt could resume."""
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
    """The kstatus word for on-its-way: present until the trainer is up, absent afterwards."""
    if verdict.state in ENDS or verdict.state in RUNNING:
        return ()
    if result.refused is not None:
        return (Observation(ConditionType.RECONCILING, "True", Reason.REFUSED_BY_API, refusal(result)),)
    return (Observation(ConditionType.RECONCILING, "True", verdict.reason, verdict.message),)


def stalled(verdict: Verdict) -> tuple[Observation, ...]:
    """The kstatus word for will-not-get-there: present once the job has failed."""
    if verdict.state in ENDS and verdict.state is not State.SUCCEEDED:
        return (Observation(ConditionType.STALLED, "True", verdict.reason, verdict.message),)
    return ()


def refusal(result: Result) -> str:
    """Return the API server's own words about an object it did not take."""
    refused = result.refused
    return f"{refused.kind} {refused.name}: {refused.message}" if refused else ""


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
