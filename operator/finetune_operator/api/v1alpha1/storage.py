"""Where checkpoints and artifacts lie, and what is delivered."""

from __future__ import annotations

import enum

from pydantic import ConfigDict, Field

from finetune_operator.api.v1alpha1.model import ApiModel, exactly_one, rules
from finetune_operator.api.v1alpha1.sources import OBJECT_NAME, ClaimPath


class ClaimTemplate(ApiModel):
    """A claim that the operator makes for the job and that goes when the job is deleted."""

    size: str = Field(
        default="2Gi", description="size of the claim, a Kubernetes quantity.", pattern=r"^[1-9][0-9]*(Mi|Gi|Ti|M|G|T)$"
    )
    storage_class_name: str | None = Field(
        default=None,
        description="storageClassName of the claim. Unset: the cluster's default.",
        max_length=253,
        pattern=OBJECT_NAME,
    )


class Ephemeral(ApiModel):
    """The pod's own disk: gone with the pod, so nothing can resume."""


class CheckpointStorage(ApiModel):
    """Where checkpoints and artifacts lie while the job lives."""

    model_config = ConfigDict(
        json_schema_extra=rules(exactly_one("spec.checkpoints.storage", "claim", "template", "ephemeral"))
    )

    claim: ClaimPath | None = Field(default=None, description="claim is yours; a folder per job is made on it.")
    template: ClaimTemplate | None = Field(default=None, description="template makes a claim that lives with the job.")
    ephemeral: Ephemeral | None = Field(default=None, description="ephemeral uses the pod's disk; nothing resumes.")


class Checkpoints(ApiModel):
    """When the state of training is saved, and where."""

    every_steps: int | None = Field(
        default=None, description="everySteps saves after so many optimizer steps. Unset: only by time.", ge=1
    )
    every_seconds: int | None = Field(
        default=300, description="everySeconds saves after so many seconds of training.", ge=10, le=86_400
    )
    keep: int = Field(default=2, description="keep is the number of newest checkpoints that stay.", ge=1, le=100)
    storage: CheckpointStorage | None = Field(
        default=None, description="storage of checkpoints and artifacts. Unset: a claim of 2Gi made for the job."
    )


class OutputFormat(enum.StrEnum):
    """What is delivered."""

    ADAPTER = "adapter"
    MERGED = "merged"


class Destination(ApiModel):
    """One place that gets a copy of the artifacts."""

    claim: ClaimPath = Field(description="claim that gets a copy of the artifacts, below `path`.")


class Output(ApiModel):
    """What is delivered, and where to."""

    formats: tuple[OutputFormat, ...] = Field(
        default=(OutputFormat.ADAPTER,),
        description="formats to deliver: `adapter` (with method full: the model itself) and `merged`.",
        min_length=1,
        max_length=2,
    )
    destinations: tuple[Destination, ...] = Field(
        default=(),
        description="destinations get copies of the artifacts, which also stay in the storage of the checkpoints.",
        max_length=4,
    )
