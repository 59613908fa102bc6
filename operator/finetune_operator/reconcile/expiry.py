"""What happens to a job that has ended: nothing, until its time to live is over; `after_end` is the entry.

But for a Job that appears after the end: the last request of an operator that led before may arrive late.
"""

from __future__ import annotations

from finetune_operator.api import keys, timestamps
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec, TtlPolicy
from finetune_operator.reconcile.actions import Action, Decision, Delete, Propagation, State, Verdict
from finetune_operator.reconcile.snapshot import Snapshot, Workload


def after_end(seen: Snapshot) -> Decision:
    """Return what to do about a job whose status says that it has ended: that never changes."""
    verdict = Verdict(State.FINISHED_BEFORE, Reason.SUCCEEDED, "the job has ended")
    left = _seconds_left(seen)
    if left is not None and left <= 0:
        return Decision(verdict, actions=_expired(seen))
    late = (one for one in seen.workloads if one.finished_at is None and not one.deleting)
    ends = tuple(_deletion(seen, one, Propagation.FOREGROUND) for one in late)
    return Decision(verdict, actions=ends, requeue_after=left)


def _seconds_left(seen: Snapshot) -> float | None:
    spec, ended = seen.spec, seen.previous.completion_time
    if not isinstance(spec, FineTuneJobSpec) or spec.ttl_seconds_after_finished is None or ended is None:
        return None
    return timestamps.parse(ended) + spec.ttl_seconds_after_finished - seen.now


def _deletion(seen: Snapshot, one: Workload, propagation: Propagation) -> Delete:
    namespace = seen.meta.key.namespace
    return Delete(kind=one.kind, namespace=namespace, name=one.name, uid=one.uid, propagation=propagation)


def _expired(seen: Snapshot) -> tuple[Action, ...]:
    key = seen.meta.key
    if isinstance(seen.spec, FineTuneJobSpec) and seen.spec.ttl_policy is TtlPolicy.CHILDREN:
        return tuple(_deletion(seen, one, Propagation.BACKGROUND) for one in seen.workloads if not one.deleting)
    return (
        Delete(
            kind=keys.KIND,
            namespace=key.namespace,
            name=key.name,
            uid=key.uid,
            propagation=Propagation.BACKGROUND,
        ),
    )
