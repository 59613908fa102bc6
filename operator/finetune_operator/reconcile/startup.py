"""Why a job does not run yet, in words that a user can act on."""

from __future__ import annotations

import re
from dataclasses import replace

from finetune_trainer.contract import ExitReport

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.manifests import remote
from finetune_operator.manifests.volumes import CONFIG_MAP
from finetune_operator.reconcile.actions import State, Verdict
from finetune_operator.reconcile.snapshot import InvalidSpec, Missing, PodFacts, Trouble, Workload

_WAITING = {
    "ErrImagePull": Reason.IMAGE_PULL,
    "ImagePullBackOff": Reason.IMAGE_PULL,
    "InvalidImageName": Reason.IMAGE_PULL,
    "ErrImageNeverPull": Reason.IMAGE_PULL,
    "CreateContainerConfigError": Reason.CONTAINER_CONFIG,
    "CreateContainerError": Reason.CONTAINER_CONFIG,
    "RunContainerError": Reason.CONTAINER_CONFIG,
}

FAILED = "Failed"
"""The kubelet's word for an image that it cannot pull, and for a container that it cannot make or start."""
_ON_ITS_WAY = frozenset({"", "ContainerCreating", "PodInitializing"})
"""What the kubelet says of a container where nothing is wrong: all one to a user, and so to the status."""

_TROUBLES = {
    "FailedCreate": Reason.POD_REFUSED,
    "FailedScheduling": Reason.UNSCHEDULABLE,
    "FailedMount": Reason.VOLUME,
    "FailedAttachVolume": Reason.VOLUME,
    "FailedMapVolume": Reason.VOLUME,
    FAILED: Reason.CONTAINER_CONFIG,
}
"""Events' reasons, by what they mean for a pod that has not started."""

_SECRETS_LACK = frozenset({Reason.CONTAINER_CONFIG, Reason.VOLUME})
"""What a Secret that is not there looks like: as an environment variable, and as a volume."""

CREATED = "the attempt's objects are created"

QUOTA = "exceeded quota"
"""The API server's words where a ResourceQuota is used up."""


def queued(
    workload: Workload, queue: str | None, trouble: Trouble | None = None, report: ExitReport | None = None
) -> Verdict:
    """Return the verdict on a Job that a queue holds back, with what the queue says of it.

    `report` is the last word of a trainer whose place the queue took back.
    """
    if queue is None:
        words = f"the Job {workload.name} is suspended by somebody else; nothing starts until that is undone"
        return Verdict(State.QUEUED, Reason.QUEUED, words, report)
    said = f": {trouble.message}" if trouble else ""
    return Verdict(State.QUEUED, Reason.QUEUED, f"waits for a place in queue '{queue}'{said}", report)


def waiting(pods: tuple[PodFacts, ...], expected: int, trouble: Trouble | None) -> Verdict:
    """Return the verdict on an attempt whose pods have not all started."""
    late = next((pod for pod in pods if pod.started_at is None), None)
    if late is not None and late.unschedulable:
        return _pending(Reason.UNSCHEDULABLE, late.unschedulable)
    if late is not None and late.waiting_reason in _WAITING:
        return _pending(_WAITING[late.waiting_reason], late.waiting_message or late.waiting_reason)
    if trouble is not None:
        return _pending(_of(trouble), trouble.message or trouble.reason)
    if late is not None:
        waits = "the pod is being started" if late.waiting_reason in _ON_ITS_WAY else late.waiting_reason
        return _pending(Reason.POD_PENDING, waits)
    if expected == 1:  # in the words of the pass that created the Job: until there is a pod, nothing is new to write
        return Verdict(State.CREATING, Reason.CREATED, CREATED)
    return _pending(Reason.POD_PENDING, f"{len(pods)} of {expected} pods exist; training begins when all have started")


def named(found: Verdict, spec: FineTuneJobSpec | InvalidSpec) -> Verdict:
    """Return the verdict with the field that names the Secret whose lack holds a pod up; the kubelet cannot know it."""
    if found.reason not in _SECRETS_LACK or isinstance(spec, InvalidSpec) or "secret" not in found.message.lower():
        return found
    said = {word.strip(".") for word in re.split(r"[^\w.-]+", found.message)}
    field = next((field for name, field in remote.secrets(spec) if name in said), None)
    if field is None:
        return found
    way_out = "create it with that key, and the pod goes on by itself"
    return replace(found, message=f"{field}: {found.message}; {way_out}")


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


def _of(trouble: Trouble) -> Reason:
    if QUOTA in trouble.message:
        return Reason.QUOTA_EXCEEDED
    if trouble.reason == FAILED and "image" in trouble.message.lower():  # `Failed to pull image`, `Error: ErrImagePull`
        return Reason.IMAGE_PULL
    return _TROUBLES.get(trouble.reason, Reason.POD_PENDING)


def _pending(reason: Reason, message: str) -> Verdict:
    return Verdict(State.PENDING, reason, message)
