"""What happens to a job that has ended: nothing, until its time to live is over; `after_end` is the entry."""

from __future__ import annotations

from finetune_operator.api import keys, timestamps
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec, TtlPolicy
from finetune_operator.reconcile.actions import Action, Decision, Delete, Propagation, State, Verdict
from finetune_operator.reconcile.snapshot import Snapshot


def after_end(seen: Snapshot) -> Decision:
    """Return what to do about a job whose status says that it has ended: that never changes."""
    verdict = Verdict(State.FINISHED_BEFORE, Reason.SUCCEEDED, "the job has ended")
    left = _seconds_left(seen)
    if left is None:
        return Decision(verdict)
    if left > 0:
        return Decision(verdict, requeue_after=left)
    return Decision(verdict, actions=_expired(seen))


def _seconds_left(seen: Snapshot) -> float | None:
    spec, ended = seen.spec, seen.previous.completion_time
    if not isinstance(spec, FineTuneJobSpec) or spec.ttl_seconds_after_finished is None or ended is None:
        return None
    return timestamps.parse(ended) + spec.ttl_seconds_after_finished - seen.now


def _expired(seen: Snapshot) -> tuple[Action, ...]:
    key = seen.meta.key
    if isinstance(seen.spec, FineTuneJobSpec) and seen.spec.ttl_policy is TtlPolicy.CHILDREN:
        return tuple(
            Delete(
                kind=workload.kind,
                namespace=key.namespace,
                name=workload.name,
                uid=workload.uid,
                propagation=Propagation.BACKGROUND,
            )
            for workload in seen.workloads
            if not workload.deleting
        )
    return (
        Delete(
            kind=keys.KIND,
            namespace=key.namespace,
            name=key.name,
            uid=key.uid,
            propagation=Propagation.BACKGROUND,
        ),
    )
