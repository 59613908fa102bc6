"""Shows jobs at the scrape: how many are in which phase, and one set of series for each, up to a cap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from finetune_trainer.contract import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.telemetry import fleet_metrics, words
from finetune_operator.telemetry import job_metrics as metrics
from finetune_operator.telemetry.fleet import ELSEWHERE, MAX_NAMESPACES
from finetune_operator.telemetry.metrics import SCRAPED

SHOWN_AFTER_END = 3600.0
"""Seconds for which a job that has ended keeps its series."""

MAX_PODS = 8
"""Pods of a job that are shown, lowest rank first."""

MAX_WORKERS = 200
"""Pods beside the first of each job that are shown, of all jobs together, those of the newest jobs first."""

MAX_TEXT = 120
"""Characters of free text in a label."""


@dataclass(frozen=True, slots=True)
class PodView:
    """A training pod; `rank` is its index in the attempt."""

    name: str
    node: str
    rank: int


@dataclass(frozen=True, slots=True)
class ConditionView:
    """A condition as it is now."""

    type: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class EndView:
    """How the newest attempt that is over ended, and when."""

    reason: str
    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """What the dashboards see of a job. Times in seconds since the epoch; None where it has not come to that."""

    namespace: str
    name: str
    uid: str
    phase: str
    task: str
    method: str
    base_model: str
    dataset_kind: str
    gpu_type: str
    queue: str
    created: float
    admitted: float | None = None
    started: float | None = None
    finished: float | None = None
    progress: float | None = None
    eta: float | None = None
    step: int | None = None
    attempt: int | None = None
    ended: EndView | None = None
    gpus: int | None = None
    wanted: int = 0
    """Devices that it asks for, whether it holds them or waits."""

    used: float | None = None
    """Device-seconds of the attempts that are over."""

    holds_since: float | None = None
    """Since when it holds the devices that it holds now."""

    checkpoint: float | None = None
    conditions: tuple[ConditionView, ...] = ()
    pods: tuple[PodView, ...] = field(default=())


Views = Callable[[], Iterable[JobView]]


class JobsCollector(Collector):
    """Computes the families of `metrics.SCRAPED` anew at each scrape; `prices` are USD per hour by kind of device."""

    def __init__(self, views: Views, *, max_jobs: int, prices: Mapping[str, float], clock: Callable[[], float]) -> None:
        self._views = views
        self._max_jobs = max_jobs
        self._prices = prices
        self._clock = clock
        self._methods: set[tuple[str, str]] = set()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Name the families without looking at any job."""
        return [_family(metric) for metric in SCRAPED]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every family."""
        views = list(self._views())
        namespaces = Counter(view.namespace for view in views)
        own = {name for name, _count in namespaces.most_common(MAX_NAMESPACES)}
        yield self._fleet(views, own)
        yield _single(fleet_metrics.NAMESPACES_DROPPED, len(namespaces) - len(own))
        yield _requested(views, own)
        now = self._clock()
        recent = _recent(views, now)
        shown = _with_few_workers(recent[: self._max_jobs])
        yield _single(fleet_metrics.JOBS_DROPPED, len(recent) - len(shown))
        prices = _family(fleet_metrics.GPU_PRICE)
        for kind, price in self._prices.items():
            prices.add_metric((kind,), price)
        yield prices
        for metric, rows in _ROWS.items():
            family = _family(metric)
            for view in shown:
                for labels in rows(view):
                    family.add_metric((view.namespace, view.name, *labels), 1)
            yield family
        yield _ends(shown)
        yield _device_seconds(shown, now)
        for metric, value in _VALUES.items():
            family = _family(metric)
            for view in shown:
                if (number := value(view)) is not None:
                    family.add_metric((view.namespace, view.name), number)
            yield family

    def _fleet(self, views: Iterable[JobView], own: set[str]) -> GaugeMetricFamily:
        """Count jobs; a namespace shows each method that it had in every phase: a line falls to 0 and does not end."""
        found: Counter[tuple[str, str, str]] = Counter()
        for view in views:
            namespace = view.namespace if view.namespace in own else ELSEWHERE
            phase = words.one_of(words.PHASES, view.phase, words.PHASES[0])
            found[namespace, phase, words.one_of(words.METHODS, view.method, words.NONE)] += 1
        self._methods |= {(namespace, method) for namespace, _phase, method in found}
        self._methods = {one for one in self._methods if one[0] in own or one[0] == ELSEWHERE}
        family = _family(fleet_metrics.JOBS)
        for namespace, method in sorted(self._methods):
            for phase in words.PHASES:
                family.add_metric((namespace, phase, method), found[namespace, phase, method])
        return family


def _requested(views: Iterable[JobView], own: set[str]) -> GaugeMetricFamily:
    wanted: Counter[tuple[str, str]] = Counter()
    for view in views:
        namespace = view.namespace if view.namespace in own else ELSEWHERE
        wanted[namespace, words.one_of(words.ACCELERATORS, view.gpu_type)] += view.wanted
    family = _family(fleet_metrics.GPUS_REQUESTED)
    for labels, devices in wanted.items():
        family.add_metric(labels, devices)
    return family


def _with_few_workers(views: list[JobView]) -> list[JobView]:
    """Return jobs with no more pods than may be shown; each keeps its first."""
    left, found = MAX_WORKERS, []
    for view in views:
        pods = view.pods[: min(MAX_PODS, 1 + left)]
        left -= max(0, len(pods) - 1)
        found.append(replace(view, pods=pods) if len(pods) < len(view.pods) else view)
    return found


def _recent(views: list[JobView], now: float) -> list[JobView]:
    """Return the jobs to show: those that have not ended, newest first, then those that just have."""
    recent = [view for view in views if view.finished is None or now - view.finished < SHOWN_AFTER_END]
    return sorted(recent, key=lambda view: (view.finished is not None, -view.created))


def _info(view: JobView) -> Iterator[tuple[str, ...]]:
    yield (
        view.uid,
        words.one_of(words.TASKS, view.task, words.NONE),
        words.one_of(words.METHODS, view.method, words.NONE),
        view.base_model[:MAX_TEXT],
        words.one_of(words.SOURCES, view.dataset_kind, words.NONE),
        words.one_of(words.ACCELERATORS, view.gpu_type),
        view.queue[:MAX_TEXT],
    )


def _conditions(view: JobView) -> Iterator[tuple[str, ...]]:
    for one in view.conditions:
        if one.type in words.CONDITIONS and one.status in words.STATUSES:
            yield one.type, one.status, words.one_of(words.REASONS, one.reason, Reason.UNKNOWN.value)


def _pods(view: JobView) -> Iterator[tuple[str, ...]]:
    chief, worker = words.ROLES_OF_PODS
    for pod in view.pods:
        yield pod.name, pod.node, worker if pod.rank else chief, str(pod.rank)


_ROWS: dict[Metric, Callable[[JobView], Iterator[tuple[str, ...]]]] = {
    metrics.JOB_INFO: _info,
    metrics.JOB_CONDITION: _conditions,
    metrics.POD_INFO: _pods,
}

_VALUES: dict[Metric, Callable[[JobView], float | None]] = {
    metrics.JOB_CREATED: lambda view: view.created,
    metrics.JOB_ADMITTED: lambda view: view.admitted,
    metrics.JOB_STARTED: lambda view: view.started,
    metrics.JOB_FINISHED: lambda view: view.finished,
    metrics.JOB_PROGRESS: lambda view: view.progress,
    metrics.JOB_ETA: lambda view: view.eta,
    metrics.JOB_STEP: lambda view: view.step,
    metrics.JOB_ATTEMPT: lambda view: view.attempt,
    metrics.JOB_GPUS: lambda view: view.gpus,
    metrics.JOB_CHECKPOINT: lambda view: view.checkpoint,
}


def _ends(views: Iterable[JobView]) -> GaugeMetricFamily:
    family = _family(metrics.JOB_ATTEMPT_ENDED)
    for view in views:
        if (end := view.ended) is not None:
            reason = words.one_of(words.REASONS, end.reason, Reason.UNKNOWN.value)
            family.add_metric((view.namespace, view.name, reason), end.time)
    return family


def _device_seconds(views: Iterable[JobView], now: float) -> GaugeMetricFamily:
    family = _family(metrics.JOB_DEVICE_SECONDS)
    for view in views:
        if view.used is not None:
            held = (view.gpus or 0) * max(0.0, now - view.holds_since) if view.holds_since is not None else 0.0
            family.add_metric((view.namespace, view.name), view.used + held)
    return family


def _single(metric: Metric, value: float) -> GaugeMetricFamily:
    family = _family(metric)
    family.add_metric((), value)
    return family


def _family(metric: Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(metric.name, metric.help_text, labels=metric.label_names)
