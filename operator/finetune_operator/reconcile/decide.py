"""Decides what to do about a job: a ladder of situations, the first that holds wins; `decide` is the entry."""

from __future__ import annotations

from dataclasses import replace

from finetune_trainer.contract import Outcome

from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1.reasons import ConditionType, Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.planning.plan import Plan
from finetune_operator.reconcile import deadline, expiry, inspection
from finetune_operator.reconcile.actions import Decision, State, Verdict
from finetune_operator.reconcile.attempts import beginning, oom, retry, stopping, underway
from finetune_operator.reconcile.attempts.history import Attempts, history, last_report, reason_of
from finetune_operator.reconcile.plans import descend
from finetune_operator.reconcile.snapshot import InvalidSpec, Snapshot


def decide(seen: Snapshot) -> Decision:
    """Return what to do now. The same snapshot always gives the same decision."""
    # The job is going: its children go with it, by their owner references.
    if seen.meta.deleting:
        return Decision(Verdict(State.DELETING, Reason.ACTIVE, "the job is being deleted"))

    # It ended in an earlier pass: an end never changes.
    if finished(seen.previous):
        return inspection.tidied(seen, expiry.after_end(seen))

    # It lives: what is to be remembered of its attempts, its model and its plan goes with whatever is decided.
    attempts, shape = history(seen), inspection.shape(seen)
    seen = inspection.completed(seen, shape)
    decision = _living(seen, attempts)
    remembering = replace(
        decision,
        attempts=decision.attempts or attempts,
        plan=decision.plan or _forgotten_plan(seen, attempts),
        shape=shape,
    )
    return inspection.tidied(seen, remembering)


def finished(status: FineTuneJobStatus) -> bool:
    """Return whether a status says that the job has ended."""
    return any(
        condition.type == ConditionType.FINISHED and condition.status == "True" for condition in status.conditions
    )


def _living(seen: Snapshot, attempts: Attempts) -> Decision:
    on_its_way, spec = stopping.under_way(attempts), seen.spec

    # The newest attempt brought the result, whatever was asked meanwhile.
    if attempts and not on_its_way and reason_of(attempts[-1]) is Reason.SUCCEEDED:
        return Decision(_succeeded(seen))

    # The API server let through what the models do not accept: what runs goes on, nothing new begins.
    if isinstance(spec, InvalidSpec):
        return underway.follow(seen, attempts) if on_its_way else _unreadable(spec, attempts)

    # The user wants no more of it.
    if spec.cancel:
        return stopping.stop(seen, attempts, Reason.CANCELLED) if on_its_way else _cancelled(seen)

    # It has been active for as long as it may.
    left = deadline.seconds_left(seen, spec, attempts)
    if left is not None and left <= 0:
        return stopping.stop(seen, attempts, Reason.DEADLINE_EXCEEDED) if on_its_way else _overdue(seen, spec)

    # The user wants the devices back for a while.
    if spec.suspend:
        return stopping.stop(seen, attempts, Reason.SUSPENDED) if on_its_way else _suspended(seen, spec, attempts)

    # The attempt is on its way.
    if on_its_way:
        return underway.follow(seen, attempts)

    # Nobody knows the model's numbers: without them there is no plan.
    if inspection.pending(seen):
        return inspection.follow(seen, spec, attempts)

    # An attempt has ended without a result: enough, or again.
    if attempts:
        return _after(seen, spec, attempts)

    # Nothing runs yet: plan, and begin.
    return beginning.begin(seen, spec, attempts)


def _succeeded(seen: Snapshot) -> Verdict:
    report = last_report(seen)
    if report is None or report.outcome is not Outcome.SUCCEEDED:
        message = "the trainer succeeded, but its report is lost; see report.json beside the artifacts"
        return Verdict(State.SUCCEEDED, Reason.SUCCEEDED, message)
    message = report.message or "the model is trained; what it brought is in status.result"
    return Verdict(State.SUCCEEDED, Reason.SUCCEEDED, message, report)


def _unreadable(spec: InvalidSpec, attempts: Attempts) -> Decision:
    return Decision(Verdict(State.FAILED if attempts else State.REFUSED, Reason.INVALID_SPEC, spec.message))


def _cancelled(seen: Snapshot) -> Decision:
    message = "cancelled; what it saved stays on its claim"
    return Decision(Verdict(State.CANCELLED, Reason.CANCELLED, message, last_report(seen)))


def _overdue(seen: Snapshot, spec: FineTuneJobSpec) -> Decision:
    message = f"the job was active for longer than spec.activeDeadlineSeconds ({spec.active_deadline_seconds} s)"
    return Decision(Verdict(State.FAILED, Reason.DEADLINE_EXCEEDED, message, last_report(seen)))


def _suspended(seen: Snapshot, spec: FineTuneJobSpec, attempts: Attempts) -> Decision:
    if not attempts and not inspection.pending(seen):
        plan = beginning.planned(seen, spec, oom.descent_of(None))
        if isinstance(plan, Verdict):
            return beginning.begin(seen, spec, attempts)  # which refuses it
    return Decision(
        Verdict(State.SUSPENDED, Reason.SUSPENDED, "no pod runs; set suspend: false to go on", last_report(seen))
    )


def _after(seen: Snapshot, spec: FineTuneJobSpec, attempts: Attempts) -> Decision:
    follows = retry.after(seen, spec, attempts)
    if isinstance(follows, retry.Enough):
        return Decision(Verdict(State.FAILED, follows.reason, follows.message, last_report(seen)))
    if 0 < follows.at - seen.now <= retry.LONGEST_WAIT:
        message = f"{follows.message}; tried again at {timestamps.write(follows.at)}"
        verdict = Verdict(State.RESTARTING, Reason.RESTARTING, message, last_report(seen))
        return Decision(verdict, requeue_after=follows.at - seen.now)
    return beginning.begin(seen, spec, attempts, follows)


def _forgotten_plan(seen: Snapshot, attempts: Attempts) -> Plan | None:
    """Return the plan if status lost it (a crash between creating and writing), None where it is remembered."""
    if seen.previous.plan is not None or isinstance(seen.spec, InvalidSpec):
        return None
    planned = descend(seen.spec, seen.profiles, oom.descent_of(attempts[-1] if attempts else None))
    return planned if isinstance(planned, Plan) else None
