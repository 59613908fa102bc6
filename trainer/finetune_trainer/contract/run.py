"""What the operator asks of one attempt: `TrainerRun` and its parts.

Not here: how the values come about (`finetune_operator.planning`) or what is done with them (the trainer's stages).
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA_VERSION = 1
"""Raised by one whenever a reader of the previous version would misread a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIdentity:
    """Which FineTuneJob, and which attempt at it (from 1), this run belongs to."""

    namespace: str
    name: str
    uid: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsSource:
    """One file behind a web address; `sha256` in hexadecimal (None: not checked)."""

    url: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSource:
    """A repository of the model hub; `token_variable` is the environment variable that holds the access token.

    `subset` and `split` are a dataset's.
    """

    repository: str
    revision: str | None = None
    subset: str | None = None
    split: str | None = None
    token_variable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Source:
    """A file or folder in object storage (`endpoint` None: AWS).

    `credentials_prefix` begins the names of the environment variables that hold the credentials, the rest of them being
    AWS's own (`<prefix>AWS_ACCESS_KEY_ID`); None: read without credentials.
    """

    uri: str
    endpoint: str | None = None
    credentials_prefix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OciSource:
    """Files of an image or artifact: those at `path` (None: all); `docker_config` is a file with the credentials."""

    image: str
    path: str | None = None
    docker_config: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSource:
    """Where the trainer fetches files from: exactly one of the four. `field` names it in the spec, for messages."""

    field: str
    https: HttpsSource | None = None
    hub: HubSource | None = None
    s3: S3Source | None = None
    oci: OciSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """The model to start from: `name` for people and for the hub, `path` a local folder (None: fetch from the hub).

    `adapter` is the folder of an adapter of that model, by the same technique, to go on from (None: a new one).
    """

    name: str
    path: str | None
    revision: str | None
    adapter: str | None = None
    remote: RemoteSource | None = None
    """Where to fetch the folder from, if it is not at `path`."""


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
    remote: RemoteSource | None = None
    """Where to fetch the rows from, if they are not at `path`."""
    validation_remote: RemoteSource | None = None


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
class EarlyStopping:
    """Ends training after so many measurements in a row without progress, by more than the threshold."""

    patience: int
    threshold: float


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
    early_stopping: EarlyStopping | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionSettings:
    """How the processes of all nodes share one training. `strategy` is `none`, `ddp`, `deepspeed` or `fsdp`.

    `zero_stage` (0 to 3) and the offloading to host memory are DeepSpeed's.
    """

    strategy: str = "none"
    zero_stage: int = 0
    offload_optimizer: bool = False
    offload_parameters: bool = False
    nodes: int = 1
    processes_per_node: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings:
    """Where checkpoints lie, how often one is written (whichever of steps and seconds comes first), how many stay."""

    directory: str
    every_steps: int | None
    every_seconds: int | None
    keep: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """Where artifacts go and which: `formats` of `adapter`, `merged`, `onnx`. `copies` are folders that get them."""

    directory: str
    formats: tuple[str, ...]
    copies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """When held-out rows are measured: every so many steps (None: only at the end), and on the untouched model.

    `metrics` are names of the API (none: the task's usual ones). `best` is the one whose best checkpoint is kept and
    delivered (None: the last step is).
    """

    every_steps: int | None
    baseline: bool
    metrics: tuple[str, ...] = ()
    best: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportingSettings:
    """Where the outside looks: the port of `/progress` and `/metrics`, and the file that gets the ExitReport.

    `peak_flops` is what all devices of the job could do at most, in operations a second; None: nobody knows.
    """

    port: int
    termination_log: str
    peak_flops: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the plan chose, and why: `name` is the spec's word for it. Told to people, and nothing is decided by it."""

    name: str
    value: str
    reason: str


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
    distribution: DistributionSettings = DistributionSettings()
    cache_directory: str | None = None
    """Folder on the job's volume for what is fetched or computed once and found again by the next attempt."""
    choices: tuple[Choice, ...] = ()
    """The plan in words, for the log, the report and the model card; none where a person wrote the run."""
