"""What a metric is, and the table of those that a training pod serves: dashboards and alerts are written against it.

Not here: the operator's own (`finetune_operator.telemetry.metrics`), measuring (`finetune_trainer.reporting`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from finetune_trainer.contract.word import TrainerPhase


class Kind(enum.StrEnum):
    """Prometheus' types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Stability(enum.StrEnum):
    """What may change: ALPHA anything, BETA only with a note of a release, STABLE nothing."""

    ALPHA = "ALPHA"
    BETA = "BETA"
    STABLE = "STABLE"


@dataclass(frozen=True, slots=True)
class Label:
    """One label: its closed list of values, or where it has none, what keeps them few."""

    name: str
    values: tuple[str, ...] = ()
    bound: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """One family. Counters are named with `_total`; buckets are in the metric's own unit."""

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    stability: Stability = Stability.BETA

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels, in the order in which values are given."""
        return tuple(label.name for label in self.labels)

    @property
    def help_text(self) -> str:
        """The text behind HELP: stability first, as Kubernetes' own metrics have it."""
        return f"[{self.stability.value}] {self.help}"


NAMESPACE = Label("namespace", bound="namespaces with jobs")
JOB = Label("finetunejob", bound="jobs, at most metrics.perJob.maxJobs of the operator; from pods: running jobs")
ATTEMPT = Label("attempt", bound="attempts of the job; a pod serves its own only")
RESULT = Label("result", ("succeeded", "failed"))
STEP_PHASE = Label("phase", ("data", "forward", "backward", "optimizer", "checkpoint"))
GPU = Label("gpu", bound="devices of the pod, by index")
OWN = (NAMESPACE, JOB, ATTEMPT)
"""Labels of every series of a training pod, from its run file."""

STEP_BUCKETS = (0.25, 1.0, 2.5, 10.0, 30.0, 120.0)

PHASE = Metric(
    "finetune_job_trainer_phase_timestamp_seconds",
    Kind.GAUGE,
    "When the trainer began what it does now, since the epoch; labelled with that.",
    (*OWN, Label("phase", tuple(phase.value for phase in TrainerPhase))),
    stability=Stability.ALPHA,
)
LOSS = Metric("finetune_job_loss", Kind.GAUGE, "Training loss of the last step.", OWN)
EVAL_LOSS = Metric("finetune_job_eval_loss", Kind.GAUGE, "Loss on the held-out rows, measured last.", OWN)
LEARNING_RATE = Metric("finetune_job_learning_rate", Kind.GAUGE, "Learning rate of the last step.", OWN)
GRAD_NORM = Metric(
    "finetune_job_grad_norm", Kind.GAUGE, "Norm of the gradients of the last step, before clipping.", OWN
)
EPOCH = Metric("finetune_job_epoch_ratio", Kind.GAUGE, "Passes over the training rows so far.", OWN)
TOKEN_ACCURACY = Metric(
    "finetune_job_mean_token_accuracy",
    Kind.GAUGE,
    "Part of the tokens that the model predicts, 0 to 1; only for tasks that generate text.",
    OWN,
)
PEAK_FLOPS = Metric(
    "finetune_job_peak_flops",
    Kind.GAUGE,
    "Dense peak of all devices of the job in operations a second; absent where the catalog does not know it.",
    OWN,
)
LAST_STEP = Metric(
    "finetune_job_last_step_timestamp_seconds", Kind.GAUGE, "When the last step ended, since the epoch.", OWN
)
CHECKPOINT_INTERVAL = Metric(
    "finetune_job_checkpoint_interval_seconds",
    Kind.GAUGE,
    "Time from one checkpoint to the next as it is set, steps counted at their mean duration.",
    OWN,
)
STEPS = Metric("finetune_training_steps_total", Kind.COUNTER, "Optimizer steps of this attempt.", OWN)
TOKENS = Metric(
    "finetune_training_tokens_total", Kind.COUNTER, "Tokens without padding that this attempt trained on.", OWN
)
SAMPLES = Metric("finetune_training_samples_total", Kind.COUNTER, "Rows that this attempt trained on.", OWN)
FLOPS = Metric(
    "finetune_training_flops_total",
    Kind.COUNTER,
    "Operations that the model needs for what it was trained on; what is computed again to save memory is left out.",
    OWN,
)
NONFINITE = Metric(
    "finetune_training_nonfinite_steps_total",
    Kind.COUNTER,
    "Steps whose loss or gradient was not a finite number.",
    OWN,
)
CHECKPOINTS = Metric(
    "finetune_training_checkpoints_total", Kind.COUNTER, "Checkpoints tried, by result.", (*OWN, RESULT)
)
CHECKPOINT_BYTES = Metric(
    "finetune_training_checkpoint_bytes_total", Kind.COUNTER, "Bytes of the checkpoints that were completed.", OWN
)
STEP_SECONDS = Metric(
    "finetune_training_step_seconds", Kind.HISTOGRAM, "Duration of an optimizer step.", OWN, STEP_BUCKETS
)
PHASE_SECONDS = Metric(
    "finetune_training_phase_seconds_total",
    Kind.COUNTER,
    "Time of steps by what it is spent on, as the host sees it; a checkpoint counts as its own phase.",
    (*OWN, STEP_PHASE),
    stability=Stability.ALPHA,
)
GPU_MEMORY = Metric(
    "finetune_gpu_memory_allocated_bytes",
    Kind.GAUGE,
    "Memory that the pod's processes hold of each device, where there is one.",
    (*OWN, GPU),
)

TRAINER_METRICS = (
    PHASE,
    LOSS,
    EVAL_LOSS,
    LEARNING_RATE,
    GRAD_NORM,
    EPOCH,
    TOKEN_ACCURACY,
    PEAK_FLOPS,
    LAST_STEP,
    CHECKPOINT_INTERVAL,
    STEPS,
    TOKENS,
    SAMPLES,
    FLOPS,
    NONFINITE,
    CHECKPOINTS,
    CHECKPOINT_BYTES,
    STEP_SECONDS,
    PHASE_SECONDS,
    GPU_MEMORY,
)
"""All that the first pod of a training serves."""

OF_EVERY_POD = (GPU_MEMORY,)
"""What the other pods serve too."""
