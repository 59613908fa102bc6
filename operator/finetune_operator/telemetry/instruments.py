"""The client library's counters, gauges and histograms, made from the table; each is asked for by its row."""

from __future__ import annotations

from collections.abc import Iterable

from finetune_trainer.contract import Kind, Metric
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder


class Instruments:
    """One registry with one instrument for each row of a table."""

    def __init__(self, table: Iterable[Metric]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that no query reads
        self.registry = CollectorRegistry(auto_describe=True)
        self._counters: dict[Metric, Counter] = {}
        self._gauges: dict[Metric, Gauge] = {}
        self._histograms: dict[Metric, Histogram] = {}
        for metric in table:
            self._make(metric)

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Count up; by 0 to show a series that has nothing to count yet."""
        counter = self._counters[metric]
        (counter.labels(*labels) if labels else counter).inc(by)

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[metric]
        (gauge.labels(*labels) if labels else gauge).set(value)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Enter a value in a histogram."""
        histogram = self._histograms[metric]
        (histogram.labels(*labels) if labels else histogram).observe(value)

    def show_histogram(self, metric: Metric, *labels: str) -> None:
        """Show a histogram that has nothing to show yet, so that its first value is a rise."""
        self._histograms[metric].labels(*labels)

    def clear_gauges(self) -> None:
        """Forget what gauges show, for a replica whose role changes."""
        for gauge in self._gauges.values():
            gauge.clear()

    def remove(self, label: str, value: str) -> None:
        """End every series with that value of a label."""
        for made in (self._counters, self._gauges, self._histograms):
            for metric, instrument in made.items():
                if label in metric.label_names:
                    instrument.remove_by_labels({label: value})

    def _make(self, metric: Metric) -> None:
        names, text = metric.label_names, metric.help_text
        match metric.kind:
            case Kind.COUNTER:
                self._counters[metric] = Counter(metric.name, text, names, registry=self.registry)
            case Kind.GAUGE:
                self._gauges[metric] = Gauge(metric.name, text, names, registry=self.registry)
            case Kind.HISTOGRAM:
                self._histograms[metric] = Histogram(
                    metric.name, text, names, buckets=metric.buckets, registry=self.registry
                )


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Write all metrics in the format that the scraper asked for; return the body and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
