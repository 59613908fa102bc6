"""Shows jobs at the scrape: how many are in which phase, and one set of series for each, up to a cap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from finetune_operator.telemetry import metrics
from finetune_operator.telemetry.metrics import Metric

MAX_JOBS = 500
"""Jobs that get series of their own: those that run, then the newest."""

MAX_MODEL_NAME = 120


@dataclass(frozen=True, slots=True)
class JobView:
    """What the dashboards see of a job. Times in seconds since the epoch; None where it has not come to that."""

    namespace: str
    name: str
    uid: str
    phase: str
    task: str
    method: str
    base_model: str
    accelerator: str
    created: float
    started: float | None
    finished: float | None
    progress: float | None
    eta: float | None
    attempt: int | None
    conditions: tuple[tuple[str, str], ...]


class JobsCollector(Collector):
    """Computes the families of `metrics.SCRAPED` anew at each scrape."""

    def __init__(self, views: Callable[[], Iterable[JobView]]) -> None:
        self._views = views

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Name the families without looking at any job."""
        return [_family(metric) for metric in metrics.SCRAPED]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every family."""
        views = sorted(self._views(), key=lambda view: (view.finished is not None, -view.created))
        yield _fleet(views)
        shown = views[:MAX_JOBS]
        for metric in (metrics.JOB_INFO, metrics.JOB_CONDITION):
            yield _labelled(metric, shown)
        for metric, value in _VALUES.items():
            family = _family(metric)
            for view in shown:
                if (number := value(view)) is not None:
                    family.add_metric((view.namespace, view.name), number)
            yield family
        dropped = _family(metrics.JOBS_DROPPED)
        dropped.add_metric((), len(views) - len(shown))
        yield dropped


_VALUES: dict[Metric, Callable[[JobView], float | None]] = {
    metrics.JOB_CREATED: lambda view: view.created,
    metrics.JOB_STARTED: lambda view: view.started,
    metrics.JOB_FINISHED: lambda view: view.finished,
    metrics.JOB_PROGRESS: lambda view: view.progress,
    metrics.JOB_ETA: lambda view: view.eta,
    metrics.JOB_ATTEMPT: lambda view: view.attempt,
}


def _fleet(views: Iterable[JobView]) -> GaugeMetricFamily:
    family = _family(metrics.JOBS)
    for labels, count in Counter((view.namespace, view.phase, view.method) for view in views).items():
        family.add_metric(labels, count)
    return family


def _labelled(metric: Metric, views: Iterable[JobView]) -> GaugeMetricFamily:
    family = _family(metric)
    for view in views:
        if metric is metrics.JOB_CONDITION:
            for kind, status in view.conditions:
                family.add_metric((view.namespace, view.name, kind, status), 1)
        else:
            model = view.base_model[:MAX_MODEL_NAME]
            family.add_metric((view.namespace, view.name, view.uid, view.task, view.method, model, view.accelerator), 1)
    return family


def _family(metric: Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
