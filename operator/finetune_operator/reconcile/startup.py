"""Why a pod does not run yet, in words that a user can act on."""

from __future__ import annotations

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.reconcile.actions import State, Verdict
from finetune_operator.reconcile.snapshot import PodFacts

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


def _pending(reason: Reason, message: str) -> Verdict:
    return Verdict(State.PENDING, reason, message)
