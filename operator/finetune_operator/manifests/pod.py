"""The one place that builds a pod spec. What a user wrote enters by name through the allow-list that this code is.

Every pod is "restricted" in the words of the Pod Security Standards, holds no service account token, and runs the
administrator's image with the image's own entrypoint: no field of a job reaches a command line.
"""

from __future__ import annotations

from finetune_trainer.contract import PROGRESS_PORT

from finetune_operator.manifests import volumes
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.labels import Manifest
from finetune_operator.planning.plan import Plan
from finetune_operator.planning.profiles import Profiles

CONTAINER = "trainer"
USER = 1000
"""uid, gid and fsGroup of the trainer; its image needs none in particular."""


def pod_spec(attempt: Attempt) -> Manifest:
    """Return the spec of a training pod."""
    mounts = volumes.mounts(attempt.key, attempt.spec, attempt.number)
    trainer = attempt.profiles.trainer
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
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
        "containers": [_container(attempt.plan, attempt.profiles, mounts)],
        "volumes": [mount.volume for mount in mounts],
    }


def _container(plan: Plan, profiles: Profiles, mounts: tuple[volumes.Mount, ...]) -> Manifest:
    memory = str(plan.memory_bytes)
    limits = {"memory": memory, **({"cpu": profiles.cpu.limit} if profiles.cpu.limit else {})}
    return {
        "name": CONTAINER,
        "image": profiles.trainer.image,
        "imagePullPolicy": profiles.trainer.image_pull_policy,
        "args": [f"{volumes.RUN_MOUNT}/{volumes.RUN_FILE}"],
        "env": [
            {"name": "HOME", "value": volumes.SCRATCH_MOUNT},
            {"name": "HF_HOME", "value": f"{volumes.SCRATCH_MOUNT}/huggingface"},
        ],
        "ports": [{"name": "progress", "containerPort": PROGRESS_PORT, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": profiles.cpu.request, "memory": memory}, "limits": limits},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [mount.volume_mount for mount in mounts],
    }
