"""What a user may write: the spec of a FineTuneJob.

Not here: cross-object checks (`planning`), the CRD made of this (`api.schema`).
"""

from __future__ import annotations

import enum
import typing

from pydantic import ConfigDict, Field

from finetune_operator.api.v1alpha1.contradictions import between_groups, over_time
from finetune_operator.api.v1alpha1.dataset import Dataset
from finetune_operator.api.v1alpha1.hardware import Distribution, Hardware
from finetune_operator.api.v1alpha1.model import ApiModel, maybe, rules
from finetune_operator.api.v1alpha1.pretrained import Model
from finetune_operator.api.v1alpha1.sources import IMAGE, OBJECT_NAME
from finetune_operator.api.v1alpha1.storage import Checkpoints, Output
from finetune_operator.api.v1alpha1.technique import Technique
from finetune_operator.api.v1alpha1.training import Evaluation, Training


class Task(enum.StrEnum):
    """What the model shall learn to do."""

    CHAT = "chat"
    INSTRUCTION = "instruction"
    CAUSAL_LM = "causal-lm"
    QUESTION_ANSWERING = "question-answering"
    TRANSLATION = "translation"
    TEXT_CLASSIFICATION = "text-classification"
    TOKEN_CLASSIFICATION = "token-classification"  # noqa: S105 - no secret
    PREFERENCE = "preference"


class TtlPolicy(enum.StrEnum):
    """What goes when the time to live is over."""

    JOB = "job"
    CHILDREN = "children"


IMMUTABLE: typing.Final = (
    "model",
    "task",
    "dataset",
    "technique",
    "distribution",
    "hardware",
    "training",
    "checkpoints",
    "output",
    "evaluation",
    "image",
    "queueName",
    "priorityClassName",
)
"""Fields of a spec that stay as they were admitted. The others may change while the job lives."""


class FineTuneJobSpec(ApiModel):
    """One fine-tuning job. The smallest is a model, a task and a dataset; all else has a default or is planned.

    Fields are immutable after admission, except those that say `mutable`.
    """

    model_config = ConfigDict(json_schema_extra=rules(*over_time(), *between_groups()))

    model: Model = Field(description="model to start from.")
    task: Task = Field(
        description="task the model shall learn; `causal-lm` is plain text of a domain, `preference` is DPO."
    )
    dataset: Dataset = Field(description="dataset to learn from.")
    technique: Technique = Field(default=Technique(), description="technique of adapting. Unset: planned.")
    distribution: Distribution = Field(
        default=Distribution(), description="distribution over devices and nodes. Unset: planned."
    )
    hardware: Hardware = Field(default=Hardware(), description="hardware the job runs on. Unset: cpu.")
    training: Training = Field(default=Training(), description="training loop. Unset: one epoch, planned.")
    checkpoints: Checkpoints = Field(
        default=Checkpoints(), description="checkpoints to keep. Unset: every 300 s, the last 2."
    )
    output: Output = Field(default=Output(), description="output to deliver. Unset: the adapter.")
    evaluation: Evaluation = Field(
        default=Evaluation(), description="evaluation on held-out rows. Unset: before and after training."
    )
    image: str | None = maybe(
        "image of the trainer, one that the administrator allows. Unset: the administrator's for the hardware.",
        limit=512,
        pattern=IMAGE,
    )
    suspend: bool = Field(
        default=False,
        description="suspend saves a checkpoint and frees the devices; false resumes from there. Default: false. "
        "Mutable.",
    )
    cancel: bool = Field(
        default=False,
        description="cancel ends the job for good and keeps what it saved; it cannot be undone. Default: false. "
        "Mutable, from false to true.",
    )
    backoff_limit: int = Field(
        default=3,
        description="backoffLimit is the number of retries after failures that are not the user's, as in batch/v1. "
        "Default: 3. Mutable.",
        ge=0,
        le=100,
    )
    active_deadline_seconds: int | None = Field(
        default=None,
        description="activeDeadlineSeconds ends the job when it has run for so long, as in batch/v1. Unset: never. "
        "Mutable.",
        ge=1,
        le=31_536_000,
    )
    ttl_seconds_after_finished: int | None = Field(
        default=None,
        description="ttlSecondsAfterFinished deletes the job so many seconds after its end, as in batch/v1. Unset: it "
        "stays. Mutable.",
        ge=0,
        le=31_536_000,
    )
    ttl_policy: TtlPolicy = Field(
        default=TtlPolicy.JOB,
        description="ttlPolicy says what ttlSecondsAfterFinished deletes: `job` with all that belongs to it, or "
        "`children`: Jobs and pods with their logs, while the job stays with its status and the claim with the "
        "artifacts. Default: job. Mutable.",
    )
    queue_name: str | None = maybe(
        "queueName is the Kueue LocalQueue that admits the job. Unset: it starts at once.", pattern=OBJECT_NAME
    )
    priority_class_name: str | None = maybe(
        "priorityClassName of the pods. Unset: the cluster's default.", pattern=OBJECT_NAME
    )
