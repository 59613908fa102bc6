"""Writes the reference page of metrics from their table. Not here: the table's own words."""

import pathlib

from finetune_operator.telemetry.metrics import GROUPS
from finetune_trainer.contract import Label, Metric

HEAD = """# Metrics

Generated from the tables in `operator/finetune_operator/telemetry` and `trainer/finetune_trainer/contract/metrics.py`;
do not edit. The operator serves the first three groups on `/metrics` of its port, a training pod the last one on its
own. Both also serve `process_*`, the operator `python_*` too. Text and OpenMetrics formats are served as asked for,
without exemplars.

Stability: ALPHA may change at any time, BETA with a note in a release, STABLE stays. A label has a closed list of
values, or what is said in italics keeps them few. No metric counts deprecated fields, since v1alpha1 has none.

How many series there are: an operator at most 1,800 for itself, 143 for a namespace (the first 50 have their own, the
others count together as `_other`), and about 20 for each job shown, of which there are `metrics.perJob.maxJobs` (500
by default; what is left out is counted in `finetune_metrics_jobs_dropped`). 2,000 jobs with names as long as Kubernetes
allows give 14,400 series. A running training pod has at most 60 of its own. A deleted job leaves none.
"""


def write(folder: pathlib.Path) -> None:
    """Write the page."""
    parts = [HEAD]
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
