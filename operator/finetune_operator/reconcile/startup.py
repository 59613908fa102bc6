"""Why a job does not run yet, in words that a user can act on."""

from __future__ import annotations

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.manifests.volumes import CONFIG_MAP
from finetune_operator.reconcile.actions import State, Verdict
from finetune_operator.reconcile.snapshot import Missing, PodFacts

_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


def waiting(pod: PodFacts | None) -> Verdict:
    """Return the verdict on a pod that has not started."""
    if pod is None:
        return _pending(Reason.POD_PENDING, "the Job exists, its pod does not yet")
    if pod.unschedulable:
        return _pending(Reason.UNSCHEDULABLE, pod.unschedulable)
    if pod.waiting_reason in _IMAGE:
        return _pending(Reason.IMAGE_PULL, pod.waiting_message or pod.waiting_reason)
    if pod.waiting_reason in _CONFIG:
        return _pending(Reason.CONTAINER_CONFIG, pod.waiting_message or pod.waiting_reason)
    return _pending(Reason.POD_PENDING, pod.waiting_reason or "the pod is being started")


def missing(missing: Missing, namespace: str) -> Verdict:
    """Return the verdict on a job that waits for an object which its spec names."""
    what, keys = missing.what, missing.keys
    if keys is not None:
        has = f"it has: {', '.join(keys)}" if keys else "it is empty"
        wrong, reason = f"ConfigMap '{what.name}' has no key '{what.key}', {has}", Reason.CONFIG_MAP_KEY_NOT_FOUND
    else:
        wrong = f"{what.kind} '{what.name}' does not exist in namespace '{namespace}'"
        reason = Reason.CONFIG_MAP_NOT_FOUND if what.kind == CONFIG_MAP else Reason.CLAIM_NOT_FOUND
    way_out = "create it (the job goes on by itself) or apply the job with the right name"
    return Verdict(State.WAITING, reason, f"{what.field}: {wrong}; {way_out}")


def _pending(reason: Reason, message: str) -> Verdict:
    return Verdict(State.PENDING, reason, message)
