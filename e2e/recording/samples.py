"""What was scraped, with the time of each sample, and its OpenMetrics text, from which Prometheus makes blocks.

Labels are put together as Prometheus does with `honorLabels: true`: the target's are added, the exposed ones win.
"""

from __future__ import annotations

import gzip
import math
import pathlib
import re
from collections.abc import Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]
LEFT_OUT = re.compile(r"python_.*|process_(virtual|max).*")
"""Series that no panel asks for."""

ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "summary": ("", "_count", "_sum")}


class Recording:
    """Samples by family and series, in the order of time."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        self.series: dict[str, dict[tuple[str, Labels], list[tuple[float, float]]]] = {}

    def add(self, text: str, target: Mapping[str, str], when: float) -> None:
        """Take in one scrape of one target."""
        for family in text_string_to_metric_families(text):
            if LEFT_OUT.fullmatch(family.name):
                continue
            for sample in family.samples:
                labels = dict(target) | sample.labels
                self.put(family.name, family.type, sample.name, labels, (when, sample.value))

    def put(  # noqa: PLR0917 - a sample has these parts
        self, family: str, kind: str, name: str, labels: Mapping[str, str], point: tuple[float, float]
    ) -> None:
        """Take in one sample."""
        self.kinds.setdefault(family, kind)
        key = name, tuple(sorted(labels.items()))
        self.series.setdefault(family, {}).setdefault(key, []).append(point)

    def up(self, target: Mapping[str, str], when: float, *, answers: bool) -> None:
        """Note whether a target answered."""
        self.put("up", "gauge", "up", target, (when, float(answers)))

    def span(self) -> tuple[float, float]:
        """Return the times of the first and the last sample."""
        times = [point[0] for series in self.series.values() for points in series.values() for point in points]
        return min(times), max(times)

    def openmetrics(self) -> Iterator[str]:
        """Yield the lines of OpenMetrics text."""
        for family in sorted(self.series):
            kind = self.kinds[family]
            yield f"# TYPE {family} {kind if kind in ('counter', 'gauge', 'histogram') else 'unknown'}\n"
            for (name, labels), points in sorted(self.series[family].items()):
                inside = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels)
                for when, value in points:
                    yield f"{name}{{{inside}}} {_number(value)} {when:.3f}\n"
        yield "# EOF\n"

    def write(self, path: pathlib.Path) -> None:
        """Write the text, compressed where the name ends in .gz."""
        text = "".join(self.openmetrics())
        data = gzip.compress(text.encode(), 9, mtime=0) if path.suffix == ".gz" else text.encode()
        path.write_bytes(data)


def read(path: pathlib.Path) -> str:
    """Return the text of a recording."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
