"""Where a job with `spec.model.fromJob` begins: at the result of another job; `inherit` is the entry."""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.sources import ClaimPath, ModelSource
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.technique import Method
from finetune_operator.reconcile.actions import State, Verdict
from finetune_operator.reconcile.snapshot import Parent

FAMILIES = {
    Method.LORA.value: "lora",
    Method.QLORA.value: "lora",
    Method.DORA.value: "dora",
    Method.QDORA.value: "dora",
    Method.PEFT.value: "peft",
}
"""Methods whose adapters are alike, so that one goes on from the other's."""


@dataclass(frozen=True, slots=True)
class Inheritance:
    """The job as it runs: with the model that its parent brings, and the adapter to go on from."""

    spec: FineTuneJobSpec
    adapter: ClaimPath | None = None


def inherit(spec: FineTuneJobSpec, parent: Parent | None, method: Method) -> Inheritance | Verdict:
    """Return what a job starts from, or why it cannot yet or never."""
    name = spec.model.from_job
    if name is None or parent is None:
        return Inheritance(spec)
    field = f"spec.model.fromJob: '{name}'"
    if not parent.found:
        return _wait(Reason.FROM_JOB_NOT_FOUND, f"{field} does not exist; apply it (this job goes on by itself)")
    if parent.ring:
        return _refuse(f"{field} {_round(parent.ring)}: none can begin; name another job, or none")
    if not parent.finished:
        return _wait(Reason.FROM_JOB_UNFINISHED, f"{field} has not finished; this job begins when it has")
    if not parent.succeeded:
        return _refuse(f"{field} did not succeed, so it left nothing to go on from; name another job")
    if parent.adapter is None:
        return _from_merged(spec, parent, f"{field} has no adapter on a claim")
    if FAMILIES.get(parent.method) != FAMILIES.get(method.value):
        wrong = f"{field} trained with {parent.method}, this job with {method.value}"
        return _from_merged(spec, parent, f"{wrong}: set technique.method: {parent.method}")
    if spec.model.source is not None:
        return Inheritance(spec, parent.adapter)
    if parent.lost is not None:
        return _refuse(f"{field} went on from '{parent.lost}', which is gone; say where the model lies in model.source")
    return Inheritance(_with(spec, parent.base), parent.adapter)


def _round(ring: tuple[str, ...]) -> str:
    """Tell how a job waits for itself."""
    if len(ring) == 1:
        return "goes on from this job"
    others = "".join(f", that from '{one}'" for one in ring[2:])
    return f"goes on from '{ring[1]}'{others}, and that from this job"


def _from_merged(spec: FineTuneJobSpec, parent: Parent, wrong: str) -> Inheritance | Verdict:
    """Return the job on top of the parent's merged model, where its adapter is of no use."""
    if parent.merged is None:
        return _refuse(f"{wrong}, and no merged model; name a job that keeps its output on a claim")
    return Inheritance(_with(spec, ModelSource(claim=parent.merged)))


def _with(spec: FineTuneJobSpec, source: ModelSource | None) -> FineTuneJobSpec:
    return spec.model_copy(update={"model": spec.model.model_copy(update={"source": source})})


def _wait(reason: Reason, message: str) -> Verdict:
    return Verdict(State.WAITING, reason, message)


def _refuse(message: str) -> Verdict:
    return Verdict(State.REFUSED, Reason.FROM_JOB_UNUSABLE, message)
