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
    distribution: DistributionSettings = DistributionSettings()
