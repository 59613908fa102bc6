"""What others measure beside us, in their own formats: dcgm-exporter, the kubelet's cAdvisor, Kueue.

A machine without GPUs and without Kueue has none of it; the files in `neighbours/` are such scrapes, given here for the
pods of a recording. Values are those of the file, gauges a little up and down, counters rising by them in each scrape.
"""

from __future__ import annotations

import math
import pathlib
import re
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from samples import Recording

HERE = pathlib.Path(__file__).resolve().parent / "neighbours"
STEP = 5
SWING, PERIOD = 0.04, 90.0
XID, XID_AFTER = 79.0, 10.0
"""An error that means a lost GPU, and seconds of a broken pod's life until its driver reports it."""

IDLE_PERCENT = 3.0

DCGM = {"job": "dcgm-exporter", "instance": "10.0.0.9:9400", "namespace": "gpu-operator", "pod": "dcgm-exporter-x7k2p"}
KUBELET = {"job": "kubelet", "instance": "10.0.0.2:10250", "metrics_path": "/metrics/cadvisor"}
KUEUE = {"job": "kueue", "instance": "10.0.0.8:8443"}
KNOWN = ("finetune_job_pod_info", "up")
"""Families of a recording that tell which pods there were, and from when to when it goes."""

EXPORTED = ("namespace", "pod", "container")


@dataclass(frozen=True, slots=True)
class Pod:
    """A training pod of the recording, from when until when it ran."""

    namespace: str
    name: str
    start: float
    end: float


def pods(recording: Recording) -> list[Pod]:
    """Return the training pods that a recording tells of."""
    found = recording.series.get("finetune_job_pod_info", {})
    return [
        Pod(dict(labels)["namespace"], dict(labels)["pod"], points[0][0], points[-1][0])
        for (_name, labels), points in found.items()
    ]


def add(recording: Recording, *, broken: str = "", idle: str = "") -> None:
    """Add what neighbours measure; `broken` and `idle` begin the names of pods whose GPU fails or has nothing to do."""
    for pod in pods(recording):
        for file in ("dcgm", "cadvisor"):
            _add_pod(recording, pod, file, (bool(broken) and pod.name.startswith(broken), idle))
    start, end = recording.span()
    for family in text_string_to_metric_families((HERE / "kueue.prom").read_text("utf-8")):
        for sample in family.samples:
            for number in range(int((end - start) / STEP) + 1):
                rises = family.type == "histogram"
                value = sample.value * (1 + number // 12) if rises else sample.value
                point = (start + number * STEP, value)
                recording.put(family.name, family.type, sample.name, KUEUE | sample.labels, point)


def _add_pod(recording: Recording, pod: Pod, file: str, fate: tuple[bool, str]) -> None:
    broken, idle = fate
    text = (HERE / f"{file}.prom").read_text("utf-8").replace("NAMESPACE", pod.namespace).replace("POD", pod.name)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = _not_honoured(sample.labels) if file == "dcgm" else KUBELET | sample.labels
            for number in range(int((pod.end - pod.start) / STEP) + 1):
                seconds = number * STEP
                value = _value(family.type, sample.value, seconds)
                if family.name == "DCGM_FI_DEV_XID_ERRORS":
                    value = XID if broken and seconds > XID_AFTER else 0.0
                if family.name == "DCGM_FI_DEV_GPU_UTIL" and idle and pod.name.startswith(idle):
                    value = IDLE_PERCENT
                recording.put(family.name, family.type, sample.name, labels, (pod.start + seconds, value))


def _value(kind: str, usual: float, seconds: float) -> float:
    if kind == "counter":
        return usual * (1 + seconds / STEP)
    return round(usual * (1 + SWING * math.sin(2 * math.pi * seconds / PERIOD)), 3)


def _not_honoured(labels: dict[str, str]) -> dict[str, str]:
    """Rename as Prometheus does for a target whose labels it does not honour, dcgm-exporter's chart by default."""
    exposed = {(f"exported_{name}" if name in EXPORTED else name): value for name, value in labels.items()}
    return DCGM | exposed


def add_to_text(text: str, *, broken: str = "", idle: str = "") -> str:
    """Return a recording's text with what neighbours measure of its pods."""
    beside = Recording()
    for line in text.splitlines():
        if line.startswith(KNOWN):
            name, _brace, rest = line.partition("{")
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', rest))
            _labels, value, when = line.rsplit(" ", 2)
            beside.put(name, "gauge", name, labels, (float(when), float(value)))
    add(beside, broken=broken, idle=idle)
    for name in KNOWN:
        beside.series.pop(name, None)
    return text.removesuffix("# EOF\n") + "".join(beside.openmetrics())
