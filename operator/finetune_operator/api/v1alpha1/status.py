"""What a user may read: the status of a FineTuneJob.

Not here: how the values come about (`status`).
"""

from __future__ import annotations

import typing

from pydantic import ConfigDict, Field

from finetune_operator.api.v1alpha1.model import ApiModel
from finetune_operator.api.v1alpha1.pretrained import ModelNumbers
from finetune_operator.api.v1alpha1.reasons import Phase

Timestamp = typing.Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Condition(ApiModel):
    """One observation, as in Kubernetes' own metav1.Condition."""

    type: str = Field(description="type of the observation, an adjective or a past tense.", max_length=316)
    status: typing.Literal["True", "False", "Unknown"] = Field(description="status of the observation.")
    observed_generation: int = Field(description="observedGeneration of the spec this was true for.")
    last_transition_time: Timestamp = Field(description="lastTransitionTime is when `status` changed last.")
    reason: str = Field(description="reason in one word, never empty.", min_length=1, max_length=1024)
    message: str = Field(default="", description="message for people.", max_length=32768)


class Choice(ApiModel):
    """One thing the plan decided, and why."""

    name: str = Field(description="name of what was decided, as the spec calls it.")
    value: str = Field(description="value it got.")
    reason: str = Field(description="reason in one sentence.")


class MemoryTerm(ApiModel):
    """One part of the predicted memory."""

    name: str = Field(description="name of the part.")
    bytes: int = Field(description="bytes of the part, per pod.")


class SecondsRange(ApiModel):
    """A guess at how long something takes, and how sure it is."""

    low: int = Field(description="low end of the range.")
    high: int = Field(description="high end of the range.")


class PlanStatus(ApiModel):
    """What the operator decided before a pod was started."""

    method: str = Field(description="method of adapting.")
    accelerator: str = Field(description="accelerator the job runs on.")
    devices: int = Field(description="devices in all.")
    nodes: int | None = Field(default=None, description="nodes with a pod on each.")
    strategy: str | None = Field(default=None, description="strategy by which devices share the work.")
    zero_stage: int | None = Field(default=None, description="zeroStage of DeepSpeed, where that is the strategy.")
    precision: str | None = Field(default=None, description="precision of the computation.")
    sequence_length: int | None = Field(default=None, description="sequenceLength at which rows are cut, in tokens.")
    gradient_checkpointing: bool | None = Field(
        default=None, description="gradientCheckpointing: activations are computed twice to save memory."
    )
    micro_batch_size: int = Field(description="microBatchSize per device.")
    gradient_accumulation_steps: int = Field(description="gradientAccumulationSteps per optimizer step.")
    memory_bytes: int = Field(description="memoryBytes that the pod requests and is limited to.")
    predicted_peak_bytes: int = Field(description="predictedPeakBytes of the training process.")
    memory: tuple[MemoryTerm, ...] = Field(default=(), description="memory predicted, by part.")
    trainable_parameters: int = Field(description="trainableParameters as predicted.")
    total_parameters: int = Field(description="totalParameters of the model.")
    seconds: SecondsRange | None = Field(default=None, description="seconds that training is expected to take.")
    cost: float | None = Field(default=None, description="cost in USD at the high end of seconds.")
    choices: tuple[Choice, ...] = Field(default=(), description="choices with the reason for each.")
    warnings: tuple[str, ...] = Field(default=(), description="warnings a person should read.")
    ladder: tuple[str, ...] = Field(
        default=(), description="ladder of changes, one after the other, if memory runs out in spite of the plan."
    )


class ProgressStatus(ApiModel):
    """How far training is."""

    phase: str = Field(description="phase of the trainer.")
    percent: int = Field(description="percent of the steps done.")
    step: int = Field(description="step reached, counted in optimizer steps.")
    total_steps: int | None = Field(default=None, description="totalSteps of the run.")
    epoch: float | None = Field(default=None, description="epoch reached.")
    loss: float | None = Field(default=None, description="loss of the last training step.")
    eval_loss: float | None = Field(default=None, description="evalLoss on held-out rows.")
    learning_rate: float | None = Field(default=None, description="learningRate now.")
    tokens_per_second: float | None = Field(default=None, description="tokensPerSecond of this attempt.")
    eta_seconds: int | None = Field(default=None, description="etaSeconds until the last step.")
    peak_memory_bytes: int | None = Field(default=None, description="peakMemoryBytes of the process so far.")
    updated_at: Timestamp = Field(description="updatedAt is when the trainer said so.")


class CheckpointStatus(ApiModel):
    """The newest complete checkpoint."""

    step: int = Field(description="step it was saved at.")
    time: Timestamp | None = Field(default=None, description="time at which it was seen first.")
    resumable: bool = Field(description="resumable is false where the storage is lost with the pod.")


class AttemptStatus(ApiModel):
    """One try at the job: what is known of it is never forgotten, and all that follows is decided from it."""

    number: int = Field(description="number of the attempt, from 1.")
    job: str = Field(description="job is the name of the batch/v1 Job.")
    start_time: Timestamp | None = Field(default=None, description="startTime of its pod.")
    end_time: Timestamp | None = Field(default=None, description="endTime of its pod.")
    reason: str | None = Field(default=None, description="reason it ended, or is being ended.")
    message: str | None = Field(default=None, description="message of its end.")
    resumed_from_step: int | None = Field(default=None, description="resumedFromStep is set if it resumed.")
    checkpoint_step: int | None = Field(
        default=None, description="checkpointStep of the newest checkpoint that was known when it ended."
    )
    change: str | None = Field(default=None, description="change of the plan since the attempt before.")
    rung: int = Field(default=0, description="rung of the plan's ladder it stands on; 0 is the plan as it was made.")
    memory_raises: int = Field(default=0, description="memoryRaises: how often the pod's memory limit was raised.")
    active_seconds: int = Field(
        default=0, description="activeSeconds that its Job was active, once it is not; they count for the deadline."
    )
    queued_seconds: int | None = Field(
        default=None, description="queuedSeconds that it waited for its queue, once it was admitted."
    )


class ArtifactStatus(ApiModel):
    """One thing delivered."""

    kind: str = Field(description="kind of the artifact, an output format.")
    uri: str = Field(description="uri of the artifact: `pvc://claim/path`.")
    bytes: int = Field(description="bytes in all.")
    sha256: str = Field(description="sha256 of the file, or of the folder's sorted list of `<sha256>  <file>` lines.")


class ResultStatus(ApiModel):
    """What the job brought."""

    metrics_before: dict[str, float] = Field(default={}, description="metricsBefore training, on held-out rows.")
    metrics_after: dict[str, float] = Field(default={}, description="metricsAfter training, on the same rows.")
    final_loss: float | None = Field(default=None, description="finalLoss of training.")
    trainable_parameters: int | None = Field(default=None, description="trainableParameters as counted.")
    total_parameters: int | None = Field(default=None, description="totalParameters as counted.")
    trained_tokens: int | None = Field(default=None, description="trainedTokens seen in training.")
    peak_memory_bytes: int | None = Field(default=None, description="peakMemoryBytes of the process.")
    train_seconds: float | None = Field(default=None, description="trainSeconds of the training loop.")
    artifacts: tuple[ArtifactStatus, ...] = Field(default=(), description="artifacts delivered.")


class Columns(ApiModel):
    """Texts for the columns of `kubectl get`."""

    progress: str = Field(default="", description="progress as a percentage.")
    step: str = Field(default="", description="step of total.")
    loss: str = Field(default="", description="loss of training, rounded.")
    eta: str = Field(default="", description="eta of the last step, rounded.")
    devices: str = Field(default="", description="devices and their kind.")
    reason: str = Field(default="", description="reason of the present phase.")
    attempt: str = Field(default="", description="attempt number.")


class FineTuneJobStatus(ApiModel):
    """Recomputed whole at each pass; its conditions are the truth, `phase` and `columns` are derived from them."""

    model_config = ConfigDict(json_schema_extra={})

    observed_generation: int | None = Field(default=None, description="observedGeneration of the spec.")
    phase: Phase | None = Field(default=None, description="phase in one word, derived.")
    message: str | None = Field(default=None, description="message says what goes on, or what to do about it.")
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description="conditions of the job.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    start_time: Timestamp | None = Field(default=None, description="startTime of the first pod.")
    completion_time: Timestamp | None = Field(default=None, description="completionTime of the job, however it ended.")
    plan: PlanStatus | None = Field(default=None, description="plan the job runs by.")
    model_shape: ModelNumbers | None = Field(
        default=None,
        description="modelShape as it was read from config.json on the model's claim, where neither the catalog nor "
        "`spec.model.shape` has it. Every plan of the job is made from it.",
    )
    progress: ProgressStatus | None = Field(default=None, description="progress of training.")
    checkpoint: CheckpointStatus | None = Field(default=None, description="checkpoint saved last.")
    attempts: tuple[AttemptStatus, ...] = Field(default=(), description="attempts so far, oldest first.")
    result: ResultStatus | None = Field(default=None, description="result of the job, once there is one.")
    columns: Columns | None = Field(default=None, description="columns for printing.")
