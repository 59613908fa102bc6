"""Writes the reference page of metrics from their table. Not here: the table's own words."""

import math
import pathlib

from finetune_operator.telemetry import words
from finetune_operator.telemetry.fleet import MAX_NAMESPACES
from finetune_operator.telemetry.jobs import MAX_PODS, MAX_WORKERS
from finetune_operator.telemetry.metrics import COUNTED, GROUPS, PER_JOB, PROCESS, SCRAPED_FLEET
from finetune_trainer.contract import TRAINER_METRICS, Kind, Label, Metric
from finetune_trainer.contract.metrics import OF_EVERY_POD

ASKED = 30
"""Pairs of verb and resource that the operator asks the API server for; its Roles allow fewer."""

HEAD = f"""# Metrics

Generated from the tables in `operator/finetune_operator/telemetry` and `trainer/finetune_trainer/contract/metrics.py`;
do not edit. The operator serves the first three groups on `/metrics` of its port, a training pod the last one on its
own; the other pods of a training serve {", ".join(f"`{metric.name}`" for metric in OF_EVERY_POD)} only. The
operator also serves `process_*` and `python_*`. Text and OpenMetrics are served as asked for, without exemplars.

Stability: ALPHA may change at any time, BETA with a note in a release, STABLE stays. A label has a closed list of
values, or what is said in italics keeps them few. No metric counts deprecated fields, since v1alpha1 has none.

{{SERIES}}
"""

SERIES = """How many series there are at most:

| of what | series | how many of these |
| --- | --- | --- |
| an operator itself | {process:,} | one for each replica |
| a namespace | {namespace}, and 2 for each kind of device | {namespaces}; the others count together as `_other` |
| a job shown | {job}, and one for each further pod | `metrics.perJob.maxJobs`, 500 by default; \
`finetune_metrics_jobs_dropped` counts the others. {pods} pods of a job, {workers} further pods in all |
| the first pod of a training | {trainer} and one for each further device | jobs that run |
| each further pod | one for each device | |

A deleted job leaves none. A test adds up 2,000 jobs with names as long as Kubernetes allows, as many of them running as
are shown, and their training pods: fewer than 32,000.
"""


def series(metric: Metric, open_labels: tuple[str, ...] = ()) -> int:
    """Return how many series a family has for one value of each label that is not closed, and of `open_labels`."""
    closed = (len(label.values) for label in metric.labels if label.values and label.name not in open_labels)
    return math.prod(closed) * (len(metric.buckets) + 3 if metric.kind is Kind.HISTOGRAM else 1)


def bounds() -> dict[str, int]:
    """Return the numbers of the table of series."""
    replica = ("replica_role", "verb", "resource")
    of_namespace = [metric for metric in (*COUNTED, *SCRAPED_FLEET) if "namespace" in metric.label_names]
    kinds = {
        "process": 2 * sum(series(one, replica) * (ASKED if "verb" in one.label_names else 3) for one in PROCESS),
        "namespace": sum(series(one, ("class",)) for one in of_namespace if "gpu_type" not in one.label_names),
        "job": len(PER_JOB) - 1 + len(words.CONDITIONS),
        "trainer": sum(
            1 if "phase" in one.label_names and one.kind is Kind.GAUGE else series(one) for one in TRAINER_METRICS
        ),
    }
    return kinds | {"namespaces": MAX_NAMESPACES, "pods": MAX_PODS, "workers": MAX_WORKERS}


def write(folder: pathlib.Path) -> None:
    """Write the page."""
    parts = [HEAD.replace("{SERIES}", SERIES.format_map(bounds()).strip())]
    for title, metrics in GROUPS.items():
        parts.append(f"## {title}\n\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |")
        parts[-1] += "".join(f"\n{_row(metric)}" for metric in metrics) + "\n"
    (folder / "metrics.md").write_text("\n".join(parts), "utf-8")


def _row(metric: Metric) -> str:
    labels = "<br>".join(_label(label) for label in metric.labels)
    buckets = f" Buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)}." if metric.buckets else ""
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help}{buckets} {metric.stability}. |"


def _label(label: Label) -> str:
    values = ", ".join(f"`{value}`" for value in label.values) or f"*{label.bound}*"
    return f"{label.name}: {values}"
