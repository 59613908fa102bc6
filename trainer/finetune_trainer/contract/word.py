"""What the trainer says: `Progress` while it runs, `ExitReport` and the exit code at the end."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from dataclasses import dataclass

from finetune_trainer.contract.run import SCHEMA_VERSION

TERMINATION_MESSAGE_LIMIT = 4096
"""Bytes of a termination message that the kubelet keeps."""

PROGRESS_PORT = 8080
"""TCP port of a training pod that serves `/progress` (JSON), `/metrics` (Prometheus) and `/healthz`."""


LATEST_MOMENT = 253_402_300_799.0
"""Seconds since the epoch at the end of the year 9999, the last that a calendar has."""

Moment = typing.Annotated[float, LATEST_MOMENT]
"""Seconds since the epoch, from 0 to `LATEST_MOMENT`."""


class FailureReason(enum.StrEnum):
    """Why an attempt ended without its result. Closed: operator, metrics and runbooks enumerate it."""

    DATA_INVALID = "DataInvalid"
    MODEL_NOT_FOUND = "ModelNotFound"
    AUTH_FAILED = "AuthFailed"
    INVALID_RUN = "InvalidRun"
    GPU_OUT_OF_MEMORY = "GPUOutOfMemory"
    HOST_OUT_OF_MEMORY = "HostOutOfMemory"
    STORAGE_FULL = "StorageFull"
    NON_FINITE_LOSS = "NonFiniteLoss"
    CHECKPOINT_CORRUPT = "CheckpointCorrupt"
    TRAINER_ERROR = "TrainerError"


class ExitCode(enum.IntEnum):
    """Exit status of the trainer process; the operator reads it where no termination message is left."""

    SUCCEEDED = 0
    TRAINER_ERROR = 1
    DATA_INVALID = 10
    MODEL_NOT_FOUND = 11
    AUTH_FAILED = 12
    INVALID_RUN = 13
    GPU_OUT_OF_MEMORY = 20
    HOST_OUT_OF_MEMORY = 21
    STORAGE_FULL = 22
    NON_FINITE_LOSS = 23
    CHECKPOINT_CORRUPT = 24
    SUSPENDED = 30


EXIT_CODES: typing.Mapping[FailureReason, ExitCode] = types.MappingProxyType(
    {reason: ExitCode[reason.name] for reason in FailureReason}
)


class TrainerPhase(enum.StrEnum):
    """What the trainer is doing now, in the order in which a run passes through."""

    STARTING = "Starting"
    VALIDATING_DATA = "ValidatingData"
    LOADING_MODEL = "LoadingModel"
    EVALUATING_BASELINE = "EvaluatingBaseline"
    TRAINING = "Training"
    EVALUATING = "Evaluating"
    EXPORTING = "Exporting"
    DONE = "Done"


class Outcome(enum.StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SUSPENDED = "Suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What `/progress` answers. None: not known yet. Losses are finite or None; times are seconds."""

    schema_version: int = SCHEMA_VERSION
    attempt: int = 1
    phase: TrainerPhase = TrainerPhase.STARTING
    step: int = 0
    total_steps: int | None = None
    epoch: float | None = None
    percent: int = 0
    eta_seconds: int | None = None
    loss: float | None = None
    eval_loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    trained_tokens: int | None = None
    tokens_per_second: float | None = None
    samples_per_second: float | None = None
    peak_memory_bytes: int | None = None
    checkpoint_step: int | None = None
    checkpoint_at: Moment | None = None
    """When that checkpoint was complete."""
    resumed_from_step: int | None = None
    updated_at: Moment = 0.0
    """When this was true."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHistogram:
    """How long the training rows are, in tokens of the model, in the shape of `spec.dataset.tokens`."""

    median: int
    p95: int
    max: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """What was found in the data. Row counts are those left after each other: a leaked row is no training row.

    `duplicate_rows` are training rows beyond the first that say the same. `leaked_rows` asked what a held-out row asks
    and were left out of training. `truncated_rows` are longer than the sequence length, `unlearnable_rows` have nothing
    to learn within it. None: not known before the rows are tokens.
    """

    training_rows: int
    held_out_rows: int
    invalid_rows: int = 0
    duplicate_rows: int = 0
    leaked_rows: int = 0
    truncated_rows: int | None = None
    unlearnable_rows: int | None = None
    tokens: TokenHistogram | None = None
    p99_tokens: int | None = None
    total_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One thing delivered: `kind` is an output format or `report`; `path` is below the output directory.

    A folder counts the bytes of its files, and its sha256 is that of the sorted lines `<sha256>  <file>`.
    `logit_difference` is the largest between its logits and those of the model it was made of, on held-out rows.
    """

    kind: str
    path: str
    bytes: int
    sha256: str
    logit_difference: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitReport:
    """The trainer's last word, at most TERMINATION_MESSAGE_LIMIT bytes of JSON.

    `reason` is set exactly when the outcome is Failed. `message` is for the user: what is wrong, where, the way out.
    Metrics are named as in `spec.evaluation.metrics` (`accuracy`, `f1`, `exact-match`); averages of labels are macro.
    """

    schema_version: int = SCHEMA_VERSION
    attempt: int = 1
    outcome: Outcome
    reason: FailureReason | None = None
    message: str = ""
    step: int = 0
    total_steps: int | None = None
    checkpoint_step: int | None = None
    resumed_from_step: int | None = None
    metrics_before: dict[str, float] = dataclasses.field(default_factory=dict)
    metrics_after: dict[str, float] = dataclasses.field(default_factory=dict)
    final_loss: float | None = None
    trainable_parameters: int | None = None
    total_parameters: int | None = None
    trained_tokens: int | None = None
    peak_memory_bytes: int | None = None
    train_seconds: float | None = None
    artifacts: tuple[Artifact, ...] = ()
    dataset: DatasetFacts | None = None
