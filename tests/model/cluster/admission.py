"""What the API server fills in, and which changes it does not take."""

from __future__ import annotations

from cluster import objects
from cluster.answers import Refused
from cluster.kinds import CLAIM, FINE_TUNE_JOB, JOB, NAMESPACE, POD, Kind
from cluster.objects import Body
from finetune_operator.api.v1alpha1.spec import IMMUTABLE

CLAIM_IN_USE = "kubernetes.io/pvc-protection"
"""On every claim, so that it outlives the pods that use it."""


def defaulted(kind: Kind, new: Body) -> Body:
    """Return an object as the API server stores it when it is created."""
    if kind is CLAIM:
        new = objects.with_metadata(new, finalizers=[*objects.finalizers(new), CLAIM_IN_USE])
        return {**new, "status": {"phase": "Pending"}}
    if kind is POD:
        return {**new, "status": {"phase": "Pending"}}
    if kind is NAMESPACE:
        return {**new, "status": {"phase": "Active"}}
    if kind is FINE_TUNE_JOB:
        return {**new, "spec": {"suspend": False, "cancel": False, "backoffLimit": 3, **new["spec"]}}
    if kind is JOB:
        usual = {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 6,
            "suspend": False,
            "completionMode": "NonIndexed",
        }
        return {**new, "spec": {**usual, **new["spec"]}}
    return new


def may_change(kind: Kind, old: Body, new: Body) -> None:
    """Refuse what may not change."""
    if objects.deleting(old) and set(objects.finalizers(new)) - set(objects.finalizers(old)):
        raise Refused(422, "Invalid", "metadata.finalizers: Forbidden: no new finalizers can be added if being deleted")
    if kind is FINE_TUNE_JOB:
        _keeps_its_spec(old, new)
    if kind is JOB:
        for field in ("template", "completions", "completionMode"):
            if old["spec"].get(field) != new["spec"].get(field):
                raise Refused(422, "Invalid", f"spec.{field}: Invalid value: field is immutable")


def _keeps_its_spec(old: Body, new: Body) -> None:
    for field in IMMUTABLE:
        if old["spec"].get(field) != new["spec"].get(field):
            raise Refused(422, "Invalid", f"spec.{field}: immutable; delete the job and apply it again")
    if old["spec"].get("cancel") and not new["spec"].get("cancel"):
        raise Refused(422, "Invalid", "spec.cancel: cannot be undone")


def refuse_other_uid(kind: Kind, name: str, uid: str) -> None:
    """Say no to a patch that means another object of the same name."""
    why = f'metadata.uid: Invalid value: "{uid}": field is immutable'
    raise Refused(422, "Invalid", f'{kind} "{name}" is invalid: {why}')
