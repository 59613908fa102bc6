"""What operator and trainer say to each other: `TrainerRun` in, `Progress` while it runs, `ExitReport` at the end.

Standard library only, so that the operator may import it without torch. JSON keys are the camelCase of the field
names. Reading is strict: a key that is unknown, missing or of the wrong type is an error that names its path.

Not here: how the values come about (`finetune_operator.planning`) or what is done with them (`finetune_trainer`).
"""

from __future__ import annotations

import dataclasses
import enum
import json
import types
import typing
from dataclasses import dataclass

SCHEMA_VERSION = 1
"""Raised by one whenever a reader of the previous version would misread a document."""

TERMINATION_MESSAGE_LIMIT = 4096
"""Bytes of a termination message that the kubelet keeps."""

PROGRESS_PORT = 8080
"""TCP port of a training pod that serves `/progress` (JSON), `/metrics` (Prometheus) and `/healthz`."""


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
class JobIdentity:
    """Which FineTuneJob, and which attempt at it (from 1), this run belongs to."""

    namespace: str
    name: str
    uid: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """The model to start from: `name` for people and for the hub, `path` a local folder (None: fetch from the hub)."""

    name: str
    path: str | None
    revision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSource:
    """The rows: local files, their format, which column plays which role, and how many bad rows are tolerated.

    `format` is `auto` or one of the API's formats. `columns` maps a role (`text`, `label`, `source`, one of the
    API's) to the name it has in the file. Held-out rows come from `validation_path`, else from
    `validation_fraction` (0 to 1, exclusive) of `path`.
    """

    path: str
    format: str
    columns: dict[str, str]
    validation_path: str | None
    validation_fraction: float
    max_invalid_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """PEFT's LoraConfig words. `target_modules` None: the architecture's own choice, `("all-linear",)` is allowed.

    `variant` is `lora`, `rslora` or one of PEFT's `init_lora_weights`; `modules_to_save` are layers trained whole.
    """

    rank: int
    alpha: int
    dropout: float
    target_modules: tuple[str, ...] | None
    modules_to_save: tuple[str, ...] | None = None
    variant: str = "lora"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeftSettings:
    """Another adapter of PEFT: `type` is its `peft_type` with dashes, `options` are its config's by name."""

    type: str
    options: dict[str, bool | int | float | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationSettings:
    """How the frozen base weights are stored: `type` is `nf4`, `fp4` or `int8`."""

    type: str
    double_quant: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TechniqueSettings:
    """`method` is one of the API's, decided. `lora` is set for lora, qlora, dora and qdora, `peft` for peft.

    `quantization` is set for qlora and qdora.
    """

    method: str
    lora: LoraSettings | None
    quantization: QuantizationSettings | None
    peft: PeftSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """The training loop, all decided: nothing is `auto` here.

    Exactly one of `epochs` and `max_steps` is set. Effective batch = micro_batch_size * gradient_accumulation_steps.
    `sequence_length` in tokens; `precision` is `fp32` or `bf16`; `optimizer` and `scheduler` are transformers' names.
    """

    epochs: float | None
    max_steps: int | None
    learning_rate: float
    micro_batch_size: int
    gradient_accumulation_steps: int
    sequence_length: int
    gradient_checkpointing: bool
    precision: str
    optimizer: str
    scheduler: str
    warmup_steps: int
    packing: bool
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings:
    """Where checkpoints lie, how often one is written (whichever of steps and seconds comes first), how many stay."""

    directory: str
    every_steps: int | None
    every_seconds: int | None
    keep: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """Where artifacts go and which: `formats` of `adapter`, `merged`. `copies` are folders that get them as well."""

    directory: str
    formats: tuple[str, ...]
    copies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """When held-out rows are measured: every so many steps (None: only at the end), and on the untouched model."""

    every_steps: int | None
    baseline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportingSettings:
    """Where the outside looks: the port of `/progress` and `/metrics`, and the file that gets the ExitReport."""

    port: int
    termination_log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerRun:
    """Everything one attempt needs to know."""

    schema_version: int
    job: JobIdentity
    task: str
    model: ModelSource
    dataset: DatasetSource
    technique: TechniqueSettings
    training: TrainingSettings
    checkpoints: CheckpointSettings
    output: OutputSettings
    evaluation: EvaluationSettings
    reporting: ReportingSettings


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
    resumed_from_step: int | None = None
    updated_at: float = 0.0
    """Seconds since the epoch when this was true."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One thing delivered: `kind` is an output format or `report`; `path` is below the output directory.

    A folder counts the bytes of its files, and its sha256 is that of the sorted lines `<sha256>  <file>`.
    """

    kind: str
    path: str
    bytes: int
    sha256: str


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


class ContractError(ValueError):
    """A document does not follow the contract. The message starts with the path of the wrong key."""


Document = TrainerRun | Progress | ExitReport
T = typing.TypeVar("T")


def to_json(document: Document) -> str:
    """Write a document as one line of JSON with camelCase keys."""
    return json.dumps(_encode(document), separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def from_json(kind: type[T], text: str) -> T:
    """Read a document of the given kind.

    Raises:
        ContractError: not JSON, another schemaVersion, or a key that is unknown, missing or of the wrong type.
    """
    try:
        raw = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # a pod may answer with anything, brackets without end included
        raise ContractError(f"$: not JSON ({error})") from error
    if isinstance(raw, dict) and raw.get("schemaVersion") != SCHEMA_VERSION:
        raise ContractError(f"$.schemaVersion: {raw.get('schemaVersion')!r}, this side speaks {SCHEMA_VERSION}")
    return typing.cast("T", _decode(kind, raw, "$"))


def _no_constant(name: str) -> typing.NoReturn:
    raise ValueError(f"{name} is no number of JSON's")


def camel(name: str) -> str:
    """Turn `max_steps` into `maxSteps`."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def _encode(value: typing.Any) -> typing.Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {camel(field.name): _encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    return value


def _decode(kind: typing.Any, raw: typing.Any, path: str) -> typing.Any:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        kinds = typing.get_args(kind)
        if raw is None and types.NoneType in kinds:
            return None
        return _decode(next((each for each in kinds if each is type(raw)), kinds[0]), raw, path)
    if dataclasses.is_dataclass(kind):
        return _decode_object(typing.cast("type[typing.Any]", kind), raw, path)
    if origin is tuple:
        item, _ellipsis = typing.get_args(kind)
        return tuple(_decode(item, value, f"{path}[{index}]") for index, value in enumerate(_expect(list, raw, path)))
    if origin is dict:
        _key, item = typing.get_args(kind)
        return {key: _decode(item, value, f"{path}.{key}") for key, value in _expect(dict, raw, path).items()}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        try:
            return kind(raw)
        except ValueError:
            raise ContractError(f"{path}: {raw!r} is none of {', '.join(str(x.value) for x in kind)}") from None
    if kind is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    return _expect(kind, raw, path)


def _decode_object(kind: type[typing.Any], raw: typing.Any, path: str) -> typing.Any:
    document = _expect(dict, raw, path)
    hints = typing.get_type_hints(kind)
    fields = {camel(field.name): field for field in dataclasses.fields(kind)}
    if unknown := sorted(document.keys() - fields.keys()):
        raise ContractError(f"{path}.{unknown[0]}: unknown key")
    values = {}
    for key, field in fields.items():
        if key in document:
            values[field.name] = _decode(hints[field.name], document[key], f"{path}.{key}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ContractError(f"{path}.{key}: missing")
    return kind(**values)


def _expect(kind: type[typing.Any], raw: typing.Any, path: str) -> typing.Any:
    if not isinstance(raw, kind) or (isinstance(raw, bool) and kind is not bool):
        raise ContractError(f"{path}: {raw!r} is not of type {kind.__name__}")
    return raw
