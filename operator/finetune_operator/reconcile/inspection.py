"""How a model's numbers are known that neither the catalog nor the spec has: from the config.json on its claim.

A small Job reads it before the first plan, and its last word is kept in status. `follow` says what to do until then,
`completed` gives a job its numbers, `tidied` takes away what is left. Nothing else of the operator knows an inspection.
"""

from __future__ import annotations

from dataclasses import replace

from finetune_trainer import contract
from finetune_trainer.contract import ContractError, InspectionReport

from finetune_operator.api.v1alpha1.pretrained import ModelNumbers
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.sources import ClaimPath
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.manifests import volumes
from finetune_operator.manifests import workload as manifests
from finetune_operator.planning import catalog, checks
from finetune_operator.planning.catalog import CatalogError
from finetune_operator.reconcile import deadline, startup
from finetune_operator.reconcile.actions import Action, Create, Decision, Delete, State, Verdict
from finetune_operator.reconcile.attempts import failure
from finetune_operator.reconcile.attempts.history import LAST_WORD_GRACE, Attempts
from finetune_operator.reconcile.attempts.underway import RUNNING_RESYNC
from finetune_operator.reconcile.patience import look_again
from finetune_operator.reconcile.snapshot import Ending, Missing, PodFacts, Snapshot, Workload

LOOK_AGAIN_FOR_LAST_WORD = 1.0

LOOK_AGAIN_FOR_REST = 2.0
"""Seconds between looks at an inspection that is being deleted; a new one has its name."""

BEFORE = "before the job is planned"

_ON_ITS_WAY = frozenset({Reason.CREATED, Reason.POD_PENDING})
"""Reasons of a start that need no word of their own: it is a matter of seconds."""


def completed(seen: Snapshot, shape: ModelNumbers | None) -> Snapshot:
    """Return what was seen with the model's numbers in its spec, where they were read from the config.json."""
    spec = seen.spec
    if shape is None or not isinstance(spec, FineTuneJobSpec) or not checks.is_inspected(spec):
        return seen
    return replace(seen, spec=spec.model_copy(update={"model": spec.model.model_copy(update={"shape": shape})}))


def shape(seen: Snapshot) -> ModelNumbers | None:
    """Return the model's numbers as they were read from the config.json; None where they were not, or not yet."""
    if seen.previous.model_shape is not None:
        return seen.previous.model_shape
    answer = _answer(seen)
    return answer if isinstance(answer, ModelNumbers) else None


def pending(seen: Snapshot) -> bool:
    """Whether the job cannot be planned before its model's config.json is read."""
    spec = seen.spec
    return isinstance(spec, FineTuneJobSpec) and checks.is_inspected(spec) and shape(seen) is None


def follow(seen: Snapshot, spec: FineTuneJobSpec, attempts: Attempts) -> Decision:
    """Return what to do about a job that waits for its model's numbers."""
    answer, workload = _answer(seen), seen.inspection.workload
    if isinstance(answer, Verdict):
        return Decision(answer if not attempts else replace(answer, state=State.FAILED))
    if workload is None:
        return _begin(seen, spec)
    if workload.deleting:
        return _reading(spec, "the one before ends first", LOOK_AGAIN_FOR_REST)
    if workload.finished_at is not None:
        return _ended(seen, spec, workload, workload.finished_at)
    late = _late(seen, spec, workload, attempts)
    return Decision(late) if late else _wait(seen, spec, workload, attempts)


def tidied(seen: Snapshot, decision: Decision) -> Decision:
    """Return a decision that also takes away the inspection, once nobody waits for it: its answer is in status."""
    unsaved = decision.shape is not None and seen.previous.model_shape is None
    if decision.verdict.state is State.INSPECTING or unsaved:
        return decision
    return replace(decision, actions=(*decision.actions, *_deletions(seen)))


def _deletions(seen: Snapshot) -> tuple[Action, ...]:
    namespace, workload = seen.meta.key.namespace, seen.inspection.workload
    if workload is None:  # pods that somebody left behind without it
        left = (pod for pod in seen.inspection.pods if pod.gone_at is None and not pod.deleting)
        return tuple(Delete(kind="Pod", namespace=namespace, name=pod.name, uid=pod.uid) for pod in left)
    if workload.deleting:
        return ()
    return (Delete(kind="Job", namespace=namespace, name=workload.name, uid=workload.uid),)


def _answer(seen: Snapshot) -> ModelNumbers | Verdict | None:
    """Return what an inspection has told: numbers, or that there are none; None while it has told nothing."""
    spec, workload = seen.spec, seen.inspection.workload
    if not isinstance(spec, FineTuneJobSpec) or (workload is not None and workload.finished_at is None):
        return None
    reports = (_report(pod.ending) for pod in seen.inspection.pods if pod.ending is not None)
    report = next((one for one in reports if one is not None), None)
    if report is None:
        return None
    if report.problem is not None:
        return _refused(spec, Reason.MODEL_CONFIG_MISSING, f"{_file(spec)} {report.problem}; put it right")
    try:
        return catalog.read_shape(report.config)
    except CatalogError as error:
        wrong = str(error).removeprefix(f"{contract.MODEL_CONFIG}: ")
        return _refused(spec, Reason.MODEL_CONFIG_INVALID, f"{_file(spec)}: {wrong}; take another model")


def _report(ending: Ending) -> InspectionReport | None:
    try:
        return contract.from_json(InspectionReport, ending.message) if ending.exit_code == 0 else None
    except ContractError:
        return None


def _refused(spec: FineTuneJobSpec, reason: Reason, wrong: str) -> Verdict:
    words = f"spec.model: '{spec.model.name}' is not in the catalog, and {wrong}, or set spec.model.shape"
    return Verdict(State.REFUSED, reason, f"{words}; then apply the job anew")


def _begin(seen: Snapshot, spec: FineTuneJobSpec) -> Decision:
    lacking = next((one for one in seen.missing if _is_claim(one, spec)), None)
    if lacking is not None:
        return Decision(startup.missing(lacking, seen.meta.key.namespace), requeue_after=look_again(seen))
    manifest = manifests.inspection(seen.meta.key, spec, seen.profiles)
    return replace(_reading(spec, BEFORE, RUNNING_RESYNC), actions=(Create(manifest),))


def _is_claim(missing: Missing, spec: FineTuneJobSpec) -> bool:
    return missing.what.kind == volumes.CLAIM and missing.what.name == _claim(spec).name


def _ended(seen: Snapshot, spec: FineTuneJobSpec, workload: Workload, ended_at: float) -> Decision:
    """Return what to do about an inspection that has ended and whose answer is unknown."""
    endings = [pod.ending for pod in seen.inspection.pods if pod.ending is not None]
    told = [one for one in endings if one.exit_code == 0] if workload.complete else endings
    if not told and seen.now - ended_at < LAST_WORD_GRACE:
        return _reading(spec, "its last word is on its way", LOOK_AGAIN_FOR_LAST_WORD)
    if workload.complete and not told:  # the pod is gone, and nobody has heard it
        again = Delete(kind="Job", namespace=seen.meta.key.namespace, name=workload.name, uid=workload.uid)
        return replace(_reading(spec, "once more, since its last word is lost", LOOK_AGAIN_FOR_REST), actions=(again,))
    if workload.complete:
        words = f"the pod of {workload.name} left no word that this operator knows: its image is of another release"
        return Decision(_failed(spec, Reason.TRAINER_ERROR, words))
    cause = failure.cause(workload, seen.inspection.pods)
    return Decision(
        _failed(spec, cause.reason, f"{cause.message}; gave up after {manifests.INSPECTION_RETRIES + 1} pods")
    )


def _late(seen: Snapshot, spec: FineTuneJobSpec, workload: Workload, attempts: Attempts) -> Verdict | None:
    """Return the end of a job whose inspection takes too long."""
    left, to_start = _seconds_left(seen, spec, workload, attempts)
    if left is not None and left <= 0:
        words = f"spec.activeDeadlineSeconds ({spec.active_deadline_seconds} s) was over"
        return _failed(spec, Reason.DEADLINE_EXCEEDED, words)
    if to_start is None or to_start > 0:
        return None
    stuck = startup.waiting(_alive(seen), 1, seen.trouble)
    reason, words = stuck.reason, stuck.message
    if reason is Reason.CREATED:  # its pod runs, or there is none: what it reads does not answer
        reason, words = Reason.VOLUME, "the volume does not answer"
    return _failed(spec, reason, f"not done within {seen.profiles.trainer.start_deadline_seconds} s: {words}")


def _wait(seen: Snapshot, spec: FineTuneJobSpec, workload: Workload, attempts: Attempts) -> Decision:
    """Return what is to be said of an inspection that is on its way."""
    lefts = [one for one in _seconds_left(seen, spec, workload, attempts) if one is not None]
    due = max(LOOK_AGAIN_FOR_LAST_WORD, min([RUNNING_RESYNC, *lefts]))
    found = startup.waiting(_alive(seen), 1, seen.trouble)
    if workload.suspended:
        found = startup.queued(workload, None)
    elif found.reason in _ON_ITS_WAY:
        return _reading(spec, BEFORE, due)
    return Decision(replace(found, state=State.INSPECTING), requeue_after=due)


def _seconds_left(
    seen: Snapshot, spec: FineTuneJobSpec, workload: Workload, attempts: Attempts
) -> tuple[float | None, float | None]:
    """Return the seconds until the job's deadline, and until an inspection that has not ended is given up."""
    if workload.suspended:
        return None, None
    left = deadline.seconds_left(seen, spec, attempts)
    active = deadline.seconds_active(seen, workload)
    return None if left is None else left - active, deadline.seconds_to_start(seen, workload)


def _alive(seen: Snapshot) -> tuple[PodFacts, ...]:
    return tuple(pod for pod in seen.inspection.pods if pod.alive and pod.ending is None)


def _reading(spec: FineTuneJobSpec, words: str, due: float) -> Decision:
    message = f"reads {_file(spec)}, {words}: '{spec.model.name}' is not in the catalog"
    return Decision(Verdict(State.INSPECTING, Reason.INSPECTING, message), requeue_after=due)


def _failed(spec: FineTuneJobSpec, reason: Reason, words: str) -> Verdict:
    message = f"{_file(spec)} of '{spec.model.name}' was not read: {words}; or set spec.model.shape"
    return Verdict(State.FAILED, reason, message)


def _file(spec: FineTuneJobSpec) -> str:
    """Name the file as its user knows it."""
    claim = _claim(spec)
    return f"{'/'.join(part for part in (claim.path, contract.MODEL_CONFIG) if part)} on claim '{claim.name}'"


def _claim(spec: FineTuneJobSpec) -> ClaimPath:
    claim = spec.model.source.claim if spec.model.source else None
    return claim or ClaimPath(name="")
