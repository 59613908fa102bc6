"""The training's Prometheus metrics, in one table, all with the labels namespace, finetunejob and attempt.

Not here: serving them (`server.py`), knowing the numbers (`callback.py`).
"""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from finetune_trainer.contract import JobIdentity

LABELS = ("namespace", "finetunejob", "attempt")
STEP_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

GAUGES = {
    "finetune_job_loss": "Training loss of the last step",
    "finetune_job_eval_loss": "Loss on the held-out rows when they were last measured",
    "finetune_job_learning_rate": "Learning rate of the last step",
    "finetune_job_grad_norm": "Norm of the gradients of the last step before clipping",
    "finetune_job_epoch_ratio": "Passes over the training rows so far",
    "finetune_job_last_step_timestamp_seconds": "When the last step ended, in seconds since the epoch",
}
COUNTERS = {
    "finetune_training_steps": "Optimizer steps of this attempt",
    "finetune_training_tokens": "Tokens without padding that this attempt trained on",
    "finetune_training_samples": "Rows that this attempt trained on",
    "finetune_training_nonfinite_steps": "Steps whose loss or gradient was not a finite number",
    "finetune_training_checkpoint_bytes": "Bytes of the checkpoints that were completed",
}
CHECKPOINTS = "finetune_training_checkpoints"
CHECKPOINT_RESULTS = ("succeeded", "failed")
STEP_SECONDS = "finetune_training_step_seconds"


class Metrics:
    """The metrics of one attempt; their own registry, so that nothing else in the process is served."""

    def __init__(self, job: JobIdentity) -> None:
        self._registry = CollectorRegistry()
        labels = (job.namespace, job.name, str(job.attempt))
        self._gauges = {name: Gauge(name, text, LABELS, registry=self._registry) for name, text in GAUGES.items()}
        self._labels = labels
        counters = {name: Counter(name, text, LABELS, registry=self._registry) for name, text in COUNTERS.items()}
        self._counters = {name: counter.labels(*labels) for name, counter in counters.items()}
        checkpoints = Counter(CHECKPOINTS, "Checkpoints tried, by result", (*LABELS, "result"), registry=self._registry)
        self._checkpoints = {result: checkpoints.labels(*labels, result) for result in CHECKPOINT_RESULTS}
        seconds: MetricWrapperBase = Histogram(
            STEP_SECONDS, "Duration of an optimizer step", LABELS, registry=self._registry, buckets=STEP_BUCKETS
        )
        self._seconds = seconds.labels(*labels)

    def set(self, name: str, value: float | None) -> None:
        """Set a gauge; a value that is unknown or not finite leaves it absent or as it was."""
        if value is not None and math.isfinite(value):
            self._gauges[name].labels(*self._labels).set(value)

    def add(self, name: str, amount: float = 1) -> None:
        """Count up."""
        self._counters[name].inc(amount)

    def observe_step(self, seconds: float) -> None:
        """Enter the duration of one step."""
        self._seconds.observe(seconds)

    def count_checkpoint(self, result: str) -> None:
        """Count a checkpoint as one of CHECKPOINT_RESULTS."""
        self._checkpoints[result].inc()

    def text(self) -> bytes:
        """Give the exposition that Prometheus scrapes."""
        return generate_latest(self._registry)
