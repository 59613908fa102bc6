"""What an administrator offers jobs to run on, and with which images.

Not here: reading the administrator's file (`runtime.config`).
"""

from __future__ import annotations

from pydantic import Field

from finetune_operator.api.v1alpha1.model import ApiModel

GIB = 1024**3


class CpuProfile(ApiModel):
    """The CPU hardware of a training pod."""

    memory_bytes: int = Field(default=16 * GIB, description="memoryBytes that one pod may ask for.", gt=0)
    request: str = Field(default="1", description="request of CPU, a Kubernetes quantity.")
    limit: str | None = Field(default=None, description="limit of CPU. Unset: none, the pod uses what is idle.")
    bf16: bool = Field(default=False, description="bf16 is worth using on these processors.")


class TrainerProfile(ApiModel):
    """How training pods are made."""

    image: str = Field(default="finetune-trainer:dev", description="image of the trainer.", min_length=1)
    image_pull_policy: str = Field(default="IfNotPresent", description="imagePullPolicy of training pods.")
    image_pull_secrets: tuple[str, ...] = Field(default=(), description="imagePullSecrets of training pods.")
    termination_grace_period_seconds: int = Field(
        default=30, description="terminationGracePeriodSeconds a trainer has to save its state.", ge=1
    )


class Profiles(ApiModel):
    """All of it."""

    cpu: CpuProfile = Field(default=CpuProfile(), description="cpu hardware.")
    trainer: TrainerProfile = Field(default=TrainerProfile(), description="trainer pods.")
