"""The training loop, and when held-out rows are measured.

Not here: values for what is unset (`planning.hyperparameters`).
"""

from __future__ import annotations

import enum

from pydantic import ConfigDict, Field

from finetune_operator.api.v1alpha1.model import PATH, ApiModel, choices, rule, rules


class Precision(enum.StrEnum):
    """Number format of weights and computation. `fp16` and `bf16-mixed` keep weights that learn in fp32."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    BF16_MIXED = "bf16-mixed"


class Optimizer(enum.StrEnum):
    """Optimizers, by transformers' names."""

    ADAMW = "adamw_torch"
    ADAMW_FUSED = "adamw_torch_fused"
    ADAMW_8BIT = "adamw_8bit"
    PAGED_ADAMW = "paged_adamw_32bit"
    PAGED_ADAMW_8BIT = "paged_adamw_8bit"
    ADAFACTOR = "adafactor"
    LION = "lion_32bit"
    LION_8BIT = "lion_8bit"
    SGD = "sgd"


class Scheduler(enum.StrEnum):
    """Learning-rate schedules, by transformers' names."""

    LINEAR = "linear"
    COSINE = "cosine"
    COSINE_WITH_RESTARTS = "cosine_with_restarts"
    POLYNOMIAL = "polynomial"
    CONSTANT = "constant"
    CONSTANT_WITH_WARMUP = "constant_with_warmup"
    INVERSE_SQRT = "inverse_sqrt"


class EarlyStopping(ApiModel):
    """Ends training when what is measured on held-out rows gets no better, and delivers the best checkpoint."""

    patience: int = Field(
        default=3,
        description="patience is the number of evaluations without progress after which training ends. Default: 3.",
        ge=1,
        le=1000,
    )
    threshold: float = Field(
        default=0.0,
        description="threshold by which the measurement has to get better to count as progress. Default: 0.",
        ge=0.0,
        le=100.0,
    )


class Training(ApiModel):
    """The training loop."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!(has(self.epochs) && has(self.maxSteps))",
                f"{PATH}: epochs and maxSteps contradict each other; keep one",
            ),
            rule(
                "!has(self.microBatchSize) || self.batchSize % self.microBatchSize == 0",
                f"{PATH}.microBatchSize: must divide batchSize, which is what one optimizer step sees; "
                "take one of its divisors",
            ),
            rule(
                "self.scheduler != 'constant' || self.warmupSteps == 0",
                f"{PATH}.warmupSteps: scheduler constant has no warm-up; "
                "set scheduler: constant_with_warmup or warmupSteps: 0",
            ),
            rule(
                "!has(self.maxSteps) || self.warmupSteps <= self.maxSteps",
                f"{PATH}.warmupSteps: training would end before the warm-up does; lower it or raise maxSteps",
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
        default=None,
        description="maxSteps ends training after so many optimizer steps. Unset: epochs decides.",
        ge=1,
        le=10_000_000,
    )
    learning_rate: float | None = Field(
        default=None,
        description="learningRate at the peak of the schedule. Unset: by method, see status.plan.",
        gt=0,
        le=10,
    )
    batch_size: int = Field(
        default=32,
        description="batchSize is the effective batch: rows that one optimizer step sees, over all devices. "
        "Default: 32.",
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
        description="sequenceLength in tokens, at which longer rows are cut. Unset: by the task and dataset.tokens, "
        "never more than the model's own.",
        ge=8,
        le=1_048_576,
    )
    gradient_checkpointing: bool | None = Field(
        default=None,
        description="gradientCheckpointing recomputes activations to save memory. Unset: only when it must.",
    )
    precision: Precision | None = Field(
        default=None,
        description="precision: `bf16` keeps weights and computes in bf16; `bf16-mixed` and `fp16` compute in 16 "
        "bits and keep weights that learn in fp32; `fp32` does both in 32. Unset: the best that the hardware does "
        "well.",
    )
    optimizer: Optimizer = Field(
        default=Optimizer.ADAMW, description="optimizer by transformers' name. Default: `adamw_torch`."
    )
    scheduler: Scheduler = Field(
        default=Scheduler.LINEAR,
        description="scheduler of the learning rate, by transformers' name. Default: `linear`.",
    )
    warmup_steps: int = Field(
        default=0,
        description="warmupSteps raise the learning rate from zero, in optimizer steps. Default: 0.",
        ge=0,
        le=1_000_000,
    )
    packing: bool = Field(
        default=False,
        description="packing fills sequences with several rows (tasks causal-lm, instruction and chat). "
        "Default: false.",
    )
    seed: int = Field(default=42, description="seed of every random choice. Default: 42.", ge=0, le=2_147_483_647)
    early_stopping: EarlyStopping | None = Field(
        default=None,
        description="earlyStopping ends training when the loss on held-out rows, or evaluation.best, gets no better, "
        "and delivers the best checkpoint. Unset: it does not.",
    )


class Metric(enum.StrEnum):
    """What is measured on held-out rows."""

    LOSS = "loss"
    PERPLEXITY = "perplexity"
    ACCURACY = "accuracy"
    F1 = "f1"
    PRECISION = "precision"
    RECALL = "recall"
    EXACT_MATCH = "exact-match"
    BLEU = "bleu"
    CHRF = "chrf"
    ROUGE_L = "rouge-l"
    REWARD_ACCURACY = "reward-accuracy"
    REWARD_MARGIN = "reward-margin"


class Evaluation(ApiModel):
    """When the held-out rows are measured, and by what."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.best) || has(self.everySteps)",
                f"{PATH}.best: needs measurements during training; set everySteps or remove best",
            )
        )
    )

    every_steps: int | None = Field(
        default=None,
        description="everySteps measures in between, each so many optimizer steps. Unset: only before and after "
        "training.",
        ge=1,
        le=10_000_000,
    )
    metrics: tuple[Metric, ...] = choices("metrics to measure. Unset: those usual for the task.", most=12)
    best: Metric | None = Field(
        default=None,
        description="best is the metric whose best checkpoint is kept, beside the newest ones, and delivered. Unset: "
        "the loss with training.earlyStopping, else the last step is delivered.",
    )
    baseline: bool = Field(
        default=True,
        description="baseline also measures the untouched model, so that the gain is known. Default: true.",
    )
