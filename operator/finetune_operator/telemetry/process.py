"""Measures the operator as things happen: passes, requests, ends of jobs."""

from __future__ import annotations

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from finetune_operator import __version__
from finetune_operator.api.v1alpha1.reasons import USER_ERRORS
from finetune_operator.reconcile.actions import State, Verdict
from finetune_operator.reconcile.snapshot import Snapshot
from finetune_operator.telemetry import metrics
from finetune_operator.telemetry.metrics import Kind, Metric

HANDLER = "finetunejob"
UNPLANNED = "none"
"""Label value of the method where there is no plan."""


class Telemetry:
    """All measured metrics in one registry of their own."""

    def __init__(self, kopf_version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that no query reads
        self.registry = CollectorRegistry(auto_describe=True)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._counters = {m: Counter(m.name, m.help, m.labels, registry=self.registry) for m in _of(Kind.COUNTER)}
        self._gauges = {m: Gauge(m.name, m.help, m.labels, registry=self.registry) for m in _of(Kind.GAUGE)}
        self._histograms = {
            m: Histogram(m.name, m.help, m.labels, buckets=m.buckets, registry=self.registry)
            for m in _of(Kind.HISTOGRAM)
        }
        self._gauges[metrics.BUILD_INFO].labels(__version__, platform.python_version(), kopf_version).set(1)

    def reconciled(self, result: str, seconds: float) -> None:
        """Count one pass over a job."""
        self._counters[metrics.RECONCILES].labels(HANDLER, result).inc()
        self._histograms[metrics.RECONCILE_SECONDS].labels(HANDLER).observe(seconds)

    def in_flight(self, running: int, waiting: int) -> None:
        """Show how many passes run and how many jobs wait for one."""
        self._gauges[metrics.IN_FLIGHT].labels(HANDLER).set(running)
        self._gauges[metrics.QUEUE_DEPTH].set(waiting)

    def watched(self, resource: str, now: float) -> None:
        """Note that a watch told something."""
        self._gauges[metrics.LAST_EVENT].labels(resource).set(now)

    def requested(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Count one request to the API server."""
        self._counters[metrics.API_REQUESTS].labels(verb, resource, str(code)).inc()
        self._histograms[metrics.API_SECONDS].labels(verb, resource).observe(seconds)

    def lagged(self, seconds: float) -> None:
        """Note how late the event loop woke up."""
        self._histograms[metrics.LOOP_LAG].observe(seconds)

    def unhandled(self, error: BaseException) -> None:
        """Count an error that no code expected."""
        self._counters[metrics.UNHANDLED].labels(type(error).__name__).inc()

    def moved(self, seen: Snapshot, verdict: Verdict, method: str | None) -> None:
        """Count what a written status means for the fleet: a first status, a start, an end."""
        namespace, age = seen.meta.key.namespace, max(0.0, seen.now - seen.meta.created_at)
        kind, state, reason = method or UNPLANNED, verdict.state, verdict.reason
        if seen.previous.observed_generation is None:
            self._histograms[metrics.FIRST_STATUS_SECONDS].observe(age)
        if seen.previous.plan is None and method is not None:
            self._counters[metrics.CREATED].labels(namespace, kind).inc()
        first_step = seen.progress is not None and seen.progress.step > 0
        if first_step and (seen.previous.progress is None or seen.previous.progress.step == 0):
            self._histograms[metrics.STARTUP_SECONDS].observe(age)
        if state in {State.SUCCEEDED, State.FAILED, State.REFUSED}:
            result = "succeeded" if state is State.SUCCEEDED else "failed"
            self._counters[metrics.FINISHED].labels(namespace, kind, result).inc()
            self._histograms[metrics.DURATION_SECONDS].labels(kind, result).observe(age)
        if state in {State.FAILED, State.REFUSED}:
            blame = "user" if reason in USER_ERRORS else "infra"
            self._counters[metrics.FAILURES].labels(namespace, reason.value, blame).inc()


def _of(kind: Kind) -> tuple[Metric, ...]:
    return tuple(metric for metric in metrics.PROCESS if metric.kind is kind)
