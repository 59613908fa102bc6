"""What a user may write: the spec of a FineTuneJob.

Not here: cross-object checks (`planning`), the CRD made of this (`api.schema`).
"""

from __future__ import annotations

import enum

from pydantic import ConfigDict, Field

from finetune_operator.api.v1alpha1.model import ApiModel, exactly_one, rule, rules, text
from finetune_operator.api.v1alpha1.sources import DatasetSource, ModelSource
from finetune_operator.api.v1alpha1.storage import Checkpoints, Output
from finetune_operator.api.v1alpha1.technique import Technique


class Task(enum.StrEnum):
    """What the model shall learn to do."""

    TEXT_CLASSIFICATION = "text-classification"
    CAUSAL_LM = "causal-lm"
    CHAT = "chat"


class DataFormat(enum.StrEnum):
    """How a row of the dataset is laid out."""

    AUTO = "auto"
    CHAT = "chat"
    PROMPT_COMPLETION = "prompt-completion"
    ALPACA = "alpaca"
    TEXT = "text"
    CLASSIFICATION = "classification"


class Precision(enum.StrEnum):
    """Number format of the computation."""

    FP32 = "fp32"
    BF16 = "bf16"


class Model(ApiModel):
    """The model to start from."""

    name: str = text(
        "name of the base model: a key of the catalog or a hub id such as `microsoft/Phi-3-mini-4k-instruct`. "
        "The plan takes the model's shape from it.",
        limit=200,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$",
    )
    revision: str | None = Field(
        default=None,
        description="revision of the model on the hub: branch, tag or commit. Unset: the default branch.",
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$",
    )
    source: ModelSource | None = Field(
        default=None, description="source says where the model's files lie. Unset: the hub, under `name`."
    )


class Validation(ApiModel):
    """Rows held out of training to measure on."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("spec.dataset.validation", "fraction", "source")))

    fraction: float | None = Field(
        default=None,
        description="fraction of the rows that is held out, from 0.001 to 0.5. Equal rows stay on one side.",
        ge=0.001,
        le=0.5,
    )
    source: DatasetSource | None = Field(default=None, description="source holds rows of its own to measure on.")


class Columns(ApiModel):
    """Which column of the file plays which role."""

    text: str | None = Field(default=None, description="text is the column of the text. Unset: `text`.", max_length=128)
    label: str | None = Field(
        default=None, description="label is the column of the class. Unset: `label`.", max_length=128
    )
    prompt: str | None = Field(
        default=None, description="prompt is the column of the prompt. Unset: `prompt`.", max_length=128
    )
    completion: str | None = Field(
        default=None, description="completion is the column of the answer. Unset: `completion`.", max_length=128
    )
    messages: str | None = Field(
        default=None, description="messages is the column of the conversation. Unset: `messages`.", max_length=128
    )


class Dataset(ApiModel):
    """The rows to learn from."""

    source: DatasetSource = Field(description="source says where the rows lie.")
    format: DataFormat = Field(
        default=DataFormat.AUTO, description="format of a row. `auto` recognises it by the columns."
    )
    columns: Columns | None = Field(
        default=None, description="columns maps roles to the names they have in the file. Unset: the roles' own names."
    )
    validation: Validation | None = Field(
        default=None, description="validation holds rows out of training. Unset: a tenth of the rows (fraction 0.1)."
    )
    max_invalid_rows: int = Field(
        default=0,
        description="maxInvalidRows is the number of broken rows that are skipped; one more fails the job, before "
        "training, with the row numbers.",
        ge=0,
        le=1_000_000,
    )


class Accelerator(enum.StrEnum):
    """Devices that jobs can run on."""

    CPU = "cpu"


class Hardware(ApiModel):
    """What the job runs on."""

    accelerator: Accelerator = Field(default=Accelerator.CPU, description="accelerator by its key in the catalog.")


class Optimizer(enum.StrEnum):
    """Optimizers, by transformers' names."""

    ADAMW = "adamw_torch"


class Scheduler(enum.StrEnum):
    """Learning-rate schedules, by transformers' names."""

    LINEAR = "linear"
    COSINE = "cosine"
    CONSTANT = "constant"


class Training(ApiModel):
    """The training loop."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!(has(self.epochs) && has(self.maxSteps))",
                "spec.training: epochs and maxSteps contradict each other; keep one",
            ),
            rule(
                "!has(self.microBatchSize) || self.batchSize % self.microBatchSize == 0",
                "spec.training.microBatchSize: must divide batchSize, which is what one optimizer step sees",
            ),
        )
    )

    epochs: float | None = Field(
        default=None,
        description="epochs is the number of passes over the rows. Unset, and maxSteps unset: 1.",
        gt=0,
        le=1000,
    )
    max_steps: int | None = Field(
        default=None, description="maxSteps ends training after so many optimizer steps.", ge=1, le=10_000_000
    )
    learning_rate: float | None = Field(
        default=None,
        description="learningRate at the peak of the schedule. Unset: by method, see status.plan.",
        gt=0,
        le=10,
    )
    batch_size: int = Field(
        default=32,
        description="batchSize is the effective batch: rows that one optimizer step sees, over all devices.",
        ge=1,
        le=65536,
    )
    micro_batch_size: int | None = Field(
        default=None,
        description="microBatchSize is the rows that one device computes at once. Unset: the largest that fits.",
        ge=1,
        le=65536,
    )
    sequence_length: int | None = Field(
        default=None,
        description="sequenceLength in tokens, at which longer rows are cut. Unset: 128 for classification, else 512, "
        "and never more than the model's own.",
        ge=8,
        le=1_048_576,
    )
    gradient_checkpointing: bool | None = Field(
        default=None,
        description="gradientCheckpointing recomputes activations to save memory. Unset: only when it must.",
    )
    precision: Precision | None = Field(
        default=None, description="precision of the computation. Unset: the best that the hardware does well."
    )
    optimizer: Optimizer = Field(default=Optimizer.ADAMW, description="optimizer by transformers' name.")
    scheduler: Scheduler = Field(default=Scheduler.LINEAR, description="scheduler of the learning rate.")
    warmup_steps: int = Field(
        default=0, description="warmupSteps raise the learning rate from zero.", ge=0, le=1_000_000
    )
    packing: bool = Field(
        default=False, description="packing fills sequences with several texts (task causal-lm only)."
    )
    seed: int = Field(default=42, description="seed of every random choice.", ge=0, le=2_147_483_647)


class Evaluation(ApiModel):
    """When the held-out rows are measured."""

    every_steps: int | None = Field(
        default=None, description="everySteps measures in between. Unset: only before and after training.", ge=1
    )
    baseline: bool = Field(
        default=True, description="baseline also measures the untouched model, so that the gain is known."
    )


class FineTuneJobSpec(ApiModel):
    """One fine-tuning job. The smallest is a model, a task and a dataset; all else has a default or is planned."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self == oldSelf",
                "spec is immutable: delete the job and apply it again, or apply it under another name",
            ),
            rule(
                "!has(self.training) || !self.training.packing || self.task == 'causal-lm'",
                "spec.training.packing: only task causal-lm packs; remove packing or set task: causal-lm",
            ),
        )
    )

    model: Model = Field(description="model to start from.")
    task: Task = Field(description="task the model shall learn.")
    dataset: Dataset = Field(description="dataset to learn from.")
    technique: Technique = Field(default=Technique(), description="technique of adapting. Unset: planned.")
    hardware: Hardware = Field(default=Hardware(), description="hardware the job runs on. Unset: cpu.")
    training: Training = Field(default=Training(), description="training loop. Unset: one epoch, planned.")
    checkpoints: Checkpoints = Field(
        default=Checkpoints(), description="checkpoints to keep. Unset: every 300 s, the last 2."
    )
    output: Output = Field(default=Output(), description="output to deliver. Unset: the adapter.")
    evaluation: Evaluation = Field(
        default=Evaluation(), description="evaluation on held-out rows. Unset: before and after training."
    )
    active_deadline_seconds: int | None = Field(
        default=None,
        description="activeDeadlineSeconds ends the job when it has run for so long, as in batch/v1. Unset: never.",
        ge=1,
        le=31_536_000,
    )
