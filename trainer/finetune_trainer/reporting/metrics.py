"""The training's Prometheus metrics, made from the table of the contract; each series names the job and the attempt.

Not here: the table (`contract/metrics.py`), serving them (`server.py`), knowing the numbers (`callback.py`).
"""

from __future__ import annotations

import math
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from finetune_trainer.contract import JobIdentity, Kind, Metric, TrainerPhase
from finetune_trainer.contract import metrics as table

COUNTER_SUFFIX = "_total"


class Metrics:
    """The metrics of one attempt; their own registry, so that nothing else in the process is served.

    A pod that is not the first tells of its devices only: what is told of the whole job would count once for each pod.
    """

    def __init__(self, job: JobIdentity, *, of_all: bool = True) -> None:
        disable_created_metrics()
        self._registry = CollectorRegistry()
        self._served = table.TRAINER_METRICS if of_all else table.OF_EVERY_POD
        self._labels = (job.namespace, job.name, str(job.attempt))
        self._made = {metric: self._make(metric) for metric in table.TRAINER_METRICS}
        self._by_name = {metric.name.removesuffix(COUNTER_SUFFIX): metric for metric in table.TRAINER_METRICS}
        self._lap_began = time.monotonic()
        for metric in table.TRAINER_METRICS:
            if metric.kind is Kind.COUNTER:
                self._show(metric)

    def set(self, name: str, value: float | None, *labels: str) -> None:
        """Set a gauge; a value that is unknown or not finite leaves it absent or as it was."""
        if value is not None and math.isfinite(value):
            self._made[self._by_name[name]].labels(*self._labels, *labels).set(value)

    def add(self, name: str, amount: float = 1) -> None:
        """Count up; the name is that of the table, with or without `_total`."""
        self._made[self._by_name[name.removesuffix(COUNTER_SUFFIX)]].labels(*self._labels).inc(amount)

    def observe_step(self, seconds: float) -> None:
        """Enter the duration of one step."""
        self._made[table.STEP_SECONDS].labels(*self._labels).observe(seconds)

    def observe_phase(self, phase: str, seconds: float) -> None:
        """Enter how long a step was at one of the phases of the table."""
        self._made[table.PHASE_SECONDS].labels(*self._labels, phase).inc(seconds)

    def entered(self, phase: TrainerPhase, at: float) -> None:
        """Show the phase that has begun instead of the one before."""
        gauge = self._made[table.PHASE]
        gauge.clear()
        gauge.labels(*self._labels, phase.value).set(at)

    def mark(self) -> None:
        """Begin a lap."""
        self._lap_began = time.monotonic()

    def lap(self, phase: str) -> None:
        """Enter the time since the last lap or mark as that of a phase, and begin the next lap."""
        began = self._lap_began
        self.mark()
        self.observe_phase(phase, self._lap_began - began)

    def count_checkpoint(self, result: str) -> None:
        """Count a checkpoint as succeeded or failed; the lap that ends with it was spent on it."""
        self._made[table.CHECKPOINTS].labels(*self._labels, result).inc()
        self.lap("checkpoint")

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Give what Prometheus scrapes in the format that it asks for, and the name of that format."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _make(self, metric: Metric) -> Counter | Gauge | Histogram:
        names, text = metric.label_names, metric.help_text
        registry = self._registry if metric in self._served else None
        if metric.kind is Kind.COUNTER:
            return Counter(metric.name, text, names, registry=registry)
        if metric.kind is Kind.GAUGE:
            return Gauge(metric.name, text, names, registry=registry)
        return Histogram(metric.name, text, names, registry=registry, buckets=metric.buckets)

    def _show(self, counter: Metric) -> None:
        """Show a counter at 0 from the start, so that its first 1 is a rise."""
        closed = [label.values for label in counter.labels if label.values]
        for value in closed[0] if closed else (None,):
            self._made[counter].labels(*self._labels, *([value] if value else []))
