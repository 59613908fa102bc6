"""How an attempt begins: planned, with all that it needs in place, nothing older alive; `begin` is the entry."""

from __future__ import annotations

import math

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import AttemptStatus
from finetune_operator.manifests import names
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.build import children
from finetune_operator.manifests.supported import unsupported
from finetune_operator.planning.plan import AS_PLANNED, Descent, Plan
from finetune_operator.planning.refusal import Refusal
from finetune_operator.reconcile import deadline, startup
from finetune_operator.reconcile.actions import Create, Decision, Delete, ProveIdle, State, Verdict
from finetune_operator.reconcile.attempts.history import Attempts, last_report
from finetune_operator.reconcile.attempts.retry import Again
from finetune_operator.reconcile.lineage import Inheritance, inherit
from finetune_operator.reconcile.patience import look_again
from finetune_operator.reconcile.plans import descend
from finetune_operator.reconcile.snapshot import Snapshot

LOOK_AGAIN_FOR_REST = 2.0
"""Seconds until the second look at what is left of an earlier attempt."""

NEW_SECONDS = 30.0
"""Age in seconds up to which a job without a status cannot have left anything behind."""

FIRST = Again(at=0.0, descent=AS_PLANNED, reason=Reason.CREATED, message=startup.CREATED)


def planned(seen: Snapshot, spec: FineTuneJobSpec, descent: Descent) -> Plan | Verdict:
    """Return the plan of an attempt, or why the job cannot run as it is written."""
    found = descend(spec, seen.profiles, descent)
    if found is None:  # another version of the operator made fewer steps of the same ladder
        return Verdict(State.REFUSED, Reason.DOES_NOT_FIT, "memory ran out, and the plan has no smaller form")
    if isinstance(found, Refusal):
        return Verdict(State.REFUSED, found.reason, found.message)
    if (message := unsupported(spec, found, seen.profiles)) is not None:
        return Verdict(State.REFUSED, Reason.UNSUPPORTED, message)
    return found


def begin(seen: Snapshot, spec: FineTuneJobSpec, attempts: Attempts, again: Again = FIRST) -> Decision:
    """Return the decision that begins the next attempt, or that waits for what it needs."""
    plan = planned(seen, spec, again.descent)
    if isinstance(plan, Verdict):
        return Decision(_final(plan, attempts), plan=_refused_plan(seen, spec, plan))
    if spec.model.from_job is not None and seen.parent is None:  # not looked up where an earlier Job seems to live
        unseen = Verdict(State.RESTARTING, again.reason, again.message)
        return _rest(seen) or Decision(unseen, plan=plan, requeue_after=LOOK_AGAIN_FOR_REST)
    start = inherit(spec, seen.parent, plan.method)
    if isinstance(start, Verdict):
        return Decision(_final(start, attempts), plan=plan, requeue_after=look_again(seen))
    if seen.unshared and plan.nodes > 1:
        return Decision(_final(_unshared(seen.unshared[0], plan.nodes), attempts), plan=plan)
    if seen.missing:
        verdict = startup.missing(seen.missing[0], seen.meta.key.namespace)
        return Decision(verdict, plan=plan, requeue_after=look_again(seen))
    if (rest := _rest(seen)) is not None:
        return rest
    return _create(seen, attempts, again, (start, plan))


def _create(seen: Snapshot, attempts: Attempts, again: Again, how: tuple[Inheritance, Plan]) -> Decision:
    (start, plan), key = how, seen.meta.key
    number = attempts[-1].number + 1 if attempts else 1
    left = deadline.seconds_left(seen, start.spec, attempts)
    attempt = Attempt(
        key,
        start.spec,
        plan,
        seen.profiles,
        number,
        adapter=start.adapter,
        descent=again.descent,
        change=again.change,
        seconds_left=None if left is None else max(1, math.ceil(left)),
    )
    begun = AttemptStatus(
        number=number,
        job=names.attempt(key, number),
        change=again.change,
        rung=again.descent.rung,
        memory_raises=again.descent.memory_raises,
    )
    proof = () if not attempts and _is_new(seen) else (ProveIdle(),)
    return Decision(
        Verdict(State.CREATING, again.reason, again.message, last_report(seen)),
        actions=(*proof, *(Create(manifest) for manifest in children(attempt))),
        plan=plan,
        begun=begun,
    )


def _is_new(seen: Snapshot) -> bool:
    """Whether the job cannot have left anything behind: nothing was ever written of it, and it was made just now."""
    return seen.previous.observed_generation is None and seen.now - seen.meta.created_at < NEW_SECONDS


def _rest(seen: Snapshot) -> Decision | None:
    """Return what to do about anything of this job that still lives: two attempts never write to one volume."""
    jobs = [one for one in seen.workloads if one.finished_at is None]
    pods = [one for one in seen.pods if one.alive]
    if not jobs and not pods:
        return None
    named = [*(one.name for one in jobs), *(one.name for one in pods)]
    words = f"{', '.join(named)} of an earlier attempt ends first"
    namespace = seen.meta.key.namespace
    orphans = [one for one in pods if seen.workload_of(one.attempt) is None and not one.deleting]
    return Decision(
        Verdict(State.RESTARTING, Reason.RESTARTING, words),
        actions=tuple(Delete(kind="Pod", namespace=namespace, name=one.name, uid=one.uid) for one in orphans),
        requeue_after=look_again(seen, soonest=LOOK_AGAIN_FOR_REST),
    )


def _final(verdict: Verdict, attempts: Attempts) -> Verdict:
    """Return a refusal as what it is to a job that ran before: its failure."""
    if verdict.state is not State.REFUSED or not attempts:
        return verdict
    return Verdict(State.FAILED, verdict.reason, verdict.message)


def _refused_plan(seen: Snapshot, spec: FineTuneJobSpec, verdict: Verdict) -> Plan | None:
    """Return the plan of a job that cannot run here yet: its memory, time and cost are known all the same."""
    if verdict.reason is not Reason.UNSUPPORTED:
        return None
    found = descend(spec, seen.profiles, AS_PLANNED)
    return found if isinstance(found, Plan) else None


def _unshared(claim: str, nodes: int) -> Verdict:
    words = (
        f"claim '{claim}' cannot be used on {nodes} nodes at a time by its access modes; take a claim with access mode "
        "ReadWriteMany (ReadOnlyMany does for what is only read), or set hardware.nodes: 1"
    )
    return Verdict(State.REFUSED, Reason.CLAIM_NOT_SHARED, words)
