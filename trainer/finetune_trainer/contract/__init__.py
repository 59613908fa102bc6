"""What operator and trainer say to each other: `TrainerRun` in, `Progress` while it runs, `ExitReport` at the end.

Standard library only, so that the operator may import it without torch.
"""

from finetune_trainer.contract.documents import (
    ContractError,
    Document,
    camel,
    from_json,
    to_json,
)
from finetune_trainer.contract.run import (
    SCHEMA_VERSION,
    CheckpointSettings,
    DatasetSource,
    DistributionSettings,
    EvaluationSettings,
    JobIdentity,
    LoraSettings,
    ModelSource,
    OutputSettings,
    PeftSettings,
    QuantizationSettings,
    ReportingSettings,
    TechniqueSettings,
    TrainerRun,
    TrainingSettings,
)
from finetune_trainer.contract.word import (
    EXIT_CODES,
    PROGRESS_PORT,
    TERMINATION_MESSAGE_LIMIT,
    Artifact,
    ExitCode,
    ExitReport,
    FailureReason,
    Outcome,
    Progress,
    TrainerPhase,
)

__all__ = [
    "EXIT_CODES",
    "PROGRESS_PORT",
    "SCHEMA_VERSION",
    "TERMINATION_MESSAGE_LIMIT",
    "Artifact",
    "CheckpointSettings",
    "ContractError",
    "DatasetSource",
    "DistributionSettings",
    "Document",
    "EvaluationSettings",
    "ExitCode",
    "ExitReport",
    "FailureReason",
    "JobIdentity",
    "LoraSettings",
    "ModelSource",
    "Outcome",
    "OutputSettings",
    "PeftSettings",
    "Progress",
    "QuantizationSettings",
    "ReportingSettings",
    "TechniqueSettings",
    "TrainerPhase",
    "TrainerRun",
    "TrainingSettings",
    "camel",
    "from_json",
    "to_json",
]
