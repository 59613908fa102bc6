"""The one place that builds a pod spec. What a user wrote enters by name through the allow-list that this code is.

Every pod is "restricted" in the words of the Pod Security Standards, holds no service account token, and runs the
administrator's image with the image's own entrypoint: no field of a job reaches a command line.
"""

from __future__ import annotations

from finetune_trainer.contract import PROGRESS_PORT

from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.manifests import remote, rendezvous, volumes
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.labels import Manifest
from finetune_operator.planning.profiles import HardwareProfile, Profiles

CONTAINER = "trainer"
INSPECT = "inspect"
"""The word by which the image's entrypoint reads a config.json instead of training."""

USER = 1000
"""uid, gid and fsGroup of the trainer; its image needs none in particular."""

SHARED_MEMORY, SHARED_MEMORY_GIB = "/dev/shm", 1  # noqa: S108 - an emptyDir of the pod's own
"""Where NCCL's processes of a node share buffers, and GiB of it for each device, which count as the pod's memory."""


INSPECTION_RESOURCES: Manifest = {
    "requests": {"cpu": "50m", "memory": "64Mi"},
    "limits": {"cpu": "1", "memory": "128Mi"},
}
"""What reading a file needs: Python without a library takes a quarter of it."""


def pod_spec(attempt: Attempt) -> Manifest:
    """Return the spec of a training pod."""
    mounts = (
        *volumes.mounts(attempt.key, attempt.spec, adapter=attempt.adapter),
        *remote.mounts(attempt.spec),
        *_shared_memory(attempt),
    )
    container = {
        **_container(_image(attempt, _profile(attempt)), attempt.profiles, mounts),
        "args": [f"{volumes.RUN_MOUNT}/{volumes.RUN_FILE}"],
        "env": [
            *_homes(),
            *remote.environment(attempt.spec),
            *rendezvous.environment(attempt),
        ],
        "ports": [{"name": "progress", "containerPort": PROGRESS_PORT, "protocol": "TCP"}, *rendezvous.ports(attempt)],
        "resources": _resources(attempt),
    }
    return {
        **_pod(attempt.spec, attempt.profiles, _profile(attempt)),
        **rendezvous.pod_fields(attempt),
        "containers": [container],
        "volumes": [mount.volume for mount in mounts],
    }


def inspection_pod_spec(spec: FineTuneJobSpec, profiles: Profiles) -> Manifest:
    """Return the spec of the pod that reads a model's config.json: where training pods will run, and no devices.

    It has the administrator's image: the job's own has not been checked, since that takes a plan.
    """
    mounts = volumes.inspection_mounts(spec)
    container = {
        **_container(profiles.trainer.image, profiles, mounts),
        "args": [INSPECT, f"{volumes.RUN_MOUNT}/{volumes.RUN_FILE}"],
        "env": _homes(),
        "resources": INSPECTION_RESOURCES,
    }
    return {
        **_pod(spec, profiles, profiles.hardware.get(spec.hardware.profile or "")),
        "containers": [container],
        "volumes": [mount.volume for mount in mounts],
    }


def _pod(spec: FineTuneJobSpec, profiles: Profiles, profile: HardwareProfile | None) -> Manifest:
    """Return what all pods have: no privilege, no token, and the administrator's place for them."""
    trainer, priority = profiles.trainer, spec.priority_class_name
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **_placement(profile),
        **({"priorityClassName": priority} if priority else {}),
        "terminationGracePeriodSeconds": trainer.termination_grace_period_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({"imagePullSecrets": [{"name": name} for name in names]} if (names := trainer.image_pull_secrets) else {}),
    }


def _profile(attempt: Attempt) -> HardwareProfile | None:
    """Return the administrator's hardware that the plan chose."""
    return attempt.profiles.hardware.get(attempt.plan.machine.profile or "")


def _placement(profile: HardwareProfile | None) -> Manifest:
    if profile is None:
        return {}
    found: Manifest = {"nodeSelector": dict(profile.node_selector)} if profile.node_selector else {}
    if profile.tolerations:
        dumped = (one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in profile.tolerations)
        found["tolerations"] = list(dumped)
    if profile.runtime_class_name:
        found["runtimeClassName"] = profile.runtime_class_name
    return found


def _image(attempt: Attempt, profile: HardwareProfile | None) -> str:
    """Return the image that the job names, which was found to be allowed, else the administrator's."""
    own = profile.image if profile else None
    return attempt.spec.image or own or attempt.profiles.trainer.image


def _devices(attempt: Attempt, profile: HardwareProfile | None) -> Manifest:
    """Return how many devices of which resource the pod gets; a request follows its limit."""
    machine = attempt.plan.machine
    if machine.is_cpu:
        return {}
    resource = (profile.resource if profile else None) or machine.accelerator.resource
    if resource is None:
        raise ValueError(f"{machine.accelerator.key} has no resource to ask for")  # the catalog's tests admit no such
    return {resource: str(attempt.plan.devices_per_node)}


def _shared_memory(attempt: Attempt) -> tuple[volumes.Mount, ...]:
    """Return the mount by which processes of a node exchange what GPUs compute; the runtime's own is 64 MiB."""
    if attempt.plan.machine.is_cpu:
        return ()
    size = f"{SHARED_MEMORY_GIB * attempt.plan.devices_per_node}Gi"
    memory = {"emptyDir": {"medium": "Memory", "sizeLimit": size}}
    return (volumes.Mount("shared-memory", memory, SHARED_MEMORY, SHARED_MEMORY, False),)


def _resources(attempt: Attempt) -> Manifest:
    profiles, profile = attempt.profiles, _profile(attempt)
    memory = str(attempt.plan.memory_bytes)
    own = profile.cpus if profile else None
    cpus = f"{own:g}" if own else profiles.cpu.request
    limit = None if own else profiles.cpu.limit  # that of other hardware could be less than what is asked for
    limits = {"memory": memory, **({"cpu": limit} if limit else {}), **_devices(attempt, profile)}
    return {"requests": {"cpu": cpus, "memory": memory}, "limits": limits}


def _homes() -> list[Manifest]:
    return [
        {"name": "HOME", "value": volumes.SCRATCH_MOUNT},
        {"name": "HF_HOME", "value": f"{volumes.SCRATCH_MOUNT}/huggingface"},
    ]


def _container(image: str, profiles: Profiles, mounts: tuple[volumes.Mount, ...]) -> Manifest:
    """Return what all containers have."""
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": profiles.trainer.image_pull_policy,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [mount.volume_mount for mount in mounts],
    }
