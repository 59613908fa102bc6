"""Decides what to do about a job: a ladder of situations, the first that holds wins; `decide` is the entry."""

from __future__ import annotations

from finetune_trainer.contract import Outcome, TrainerPhase

from finetune_operator.api.v1alpha1.reasons import ConditionType, Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.build import children
from finetune_operator.manifests.supported import unsupported
from finetune_operator.planning.plan import Plan, plan
from finetune_operator.planning.refusal import Refusal
from finetune_operator.reconcile import failure, startup
from finetune_operator.reconcile.actions import Create, Decision, State, Verdict
from finetune_operator.reconcile.snapshot import InvalidSpec, Snapshot, Workload

LOOK_AGAIN_FOR_OBJECTS = 5.0
"""Seconds between looks for an object that the spec names: it may be applied right after the job."""

LAST_WORD_GRACE = 10.0
"""Seconds that the news of a pod's end may come after the news of its Job's end: they travel on two watches."""

LOOK_AGAIN_FOR_LAST_WORD = 1.0

FIRST_ATTEMPT = 1

_BEFORE_TRAINING = frozenset(
    {
        TrainerPhase.STARTING,
        TrainerPhase.VALIDATING_DATA,
        TrainerPhase.LOADING_MODEL,
        TrainerPhase.EVALUATING_BASELINE,
    }
)


def decide(seen: Snapshot) -> Decision:
    """Return what to do now. The same snapshot always gives the same decision."""
    # The job is going: its children go with it, by their owner references.
    if seen.meta.deleting:
        return Decision(Verdict(State.DELETING, Reason.ACTIVE, "the job is being deleted"))

    # It ended in an earlier pass: an end never changes.
    if finished(seen.previous):
        return Decision(Verdict(State.FINISHED_BEFORE, Reason.SUCCEEDED, "the job has ended"))

    # The API server let through what the models do not accept.
    if isinstance(seen.spec, InvalidSpec):
        return Decision(Verdict(State.REFUSED, Reason.INVALID_SPEC, seen.spec.message))

    # Nothing runs: plan, and begin.
    if seen.workload is None:
        return _begin(seen, seen.spec)

    # The attempt has ended.
    if seen.workload.finished_at is not None:
        return _end(seen, seen.spec, seen.workload)

    # The attempt is on its way.
    return Decision(_progress(seen), plan=_plan_once(seen, seen.spec))


def finished(status: FineTuneJobStatus) -> bool:
    """Return whether a status says that the job has ended."""
    return any(
        condition.type == ConditionType.FINISHED and condition.status == "True" for condition in status.conditions
    )


def _begin(seen: Snapshot, spec: FineTuneJobSpec) -> Decision:
    planned = plan(spec, seen.profiles)
    if isinstance(planned, Refusal):
        return Decision(Verdict(State.REFUSED, planned.reason, planned.message))
    if (message := unsupported(spec, planned, seen.profiles)) is not None:
        return Decision(Verdict(State.REFUSED, Reason.UNSUPPORTED, message), plan=planned)
    if seen.missing:
        return Decision(
            startup.missing(seen.missing[0], seen.meta.key.namespace),
            plan=planned,
            requeue_after=LOOK_AGAIN_FOR_OBJECTS,
        )
    attempt = Attempt(seen.meta.key, spec, planned, seen.profiles, FIRST_ATTEMPT)
    return Decision(
        Verdict(State.CREATING, Reason.CREATED, "the attempt's objects are created"),
        actions=tuple(Create(manifest) for manifest in children(attempt)),
        plan=planned,
    )


def _end(seen: Snapshot, spec: FineTuneJobSpec, workload: Workload) -> Decision:
    planned = _plan_once(seen, spec)
    told = seen.pod is not None and seen.pod.ending is not None
    if not told and seen.now - (workload.finished_at or 0) < LAST_WORD_GRACE:
        return Decision(_progress(seen), plan=planned, requeue_after=LOOK_AGAIN_FOR_LAST_WORD)
    if not workload.complete:
        return Decision(failure.classify(workload, seen.pod), plan=planned)
    report = failure.exit_report(seen.pod.ending if seen.pod else None)
    if report is None or report.outcome is not Outcome.SUCCEEDED:
        message = "the trainer succeeded, but its report is lost; see report.json beside the artifacts"
        return Decision(Verdict(State.SUCCEEDED, Reason.SUCCEEDED, message), plan=planned)
    message = report.message or "the model is trained; what it brought is in status.result"
    return Decision(Verdict(State.SUCCEEDED, Reason.SUCCEEDED, message, report), plan=planned)


def _progress(seen: Snapshot) -> Verdict:
    if seen.pod is None or seen.pod.started_at is None:
        return startup.waiting(seen.pod)
    phase = seen.progress.phase if seen.progress else TrainerPhase.STARTING
    if phase in _BEFORE_TRAINING:
        return Verdict(State.STARTING, Reason.STARTING, f"the trainer is up: {phase.value}")
    return Verdict(State.TRAINING, Reason.TRAINING, f"the trainer is at work: {phase.value}")


def _plan_once(seen: Snapshot, spec: FineTuneJobSpec) -> Plan | None:
    """Return the plan if status lost it (a crash between creating and writing), None where it is remembered."""
    if seen.previous.plan is not None:
        return None
    planned = plan(spec, seen.profiles)
    return planned if isinstance(planned, Plan) else None
