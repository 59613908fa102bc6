"""What holds for every row of the table of metrics."""

import math
import re

import pytest
from finetune_operator.telemetry.fleet import MAX_NAMESPACES
from finetune_operator.telemetry.metrics import ALL, COUNTED, PER_JOB, PROCESS, SCRAPED_FLEET
from finetune_trainer.contract import TRAINER_METRICS, Kind

UNITS = ("_seconds", "_bytes", "_ratio", "_total", "_info", "_dollars_per_hour", "_flops")
SERIES_OF_A_PROCESS = 1_500
SERIES_OF_A_NAMESPACE = 260
SERIES_OF_A_TRAINER = 70

each = pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)


def test_no_name_is_there_twice():
    assert len({metric.name for metric in ALL}) == len(ALL) > 50


@each
def test_names_say_what_prometheus_expects(metric):
    assert re.fullmatch(r"finetune_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.help.endswith(".")
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))


@each
def test_labels_are_closed_or_say_what_keeps_them_few(metric):
    for label in metric.labels:
        assert bool(label.values) != bool(label.bound), label.name
        assert len(set(label.values)) == len(label.values)
        assert "" not in label.values
        assert len(label.values) < 60


def series(metric, own: tuple[str, ...]) -> int:
    """Most series that a family has for one value of the labels that are not closed."""
    combinations = math.prod(len(label.values) for label in metric.labels if label.values and label.name not in own)
    return combinations * (len(metric.buckets) + 3 if metric.kind is Kind.HISTOGRAM else 1)


ASKED = 60
"""Pairs of verb and resource that the operator really asks; the product of both lists is larger."""


def test_the_process_stays_below_its_bound():
    free = ("verb", "resource", "replica_role")
    rows = {metric.name: series(metric, free) for metric in PROCESS}
    rows = {name: count * (ASKED if "api" in name else 3) for name, count in rows.items()}
    assert sum(rows.values()) < SERIES_OF_A_PROCESS


def test_a_namespace_stays_below_its_bound():
    gpu_types_of_a_namespace = 10
    total = 0
    for metric in (*COUNTED, *SCRAPED_FLEET):
        kinds = gpu_types_of_a_namespace if "gpu_type" in metric.label_names else 1
        # a reason has one class, so the product of both lists is twice too large
        total += series(metric, ("gpu_type", "class")) * kinds if "namespace" in metric.label_names else 0
    assert total < SERIES_OF_A_NAMESPACE
    assert total * MAX_NAMESPACES < 13_000


def test_a_running_trainer_stays_below_its_bound():
    total = sum(series(metric, ()) for metric in TRAINER_METRICS)
    assert total < SERIES_OF_A_TRAINER


def test_every_metric_of_a_job_names_it():
    for metric in PER_JOB + TRAINER_METRICS:
        assert metric.label_names[:2] == ("namespace", "finetunejob")


def test_no_metric_of_the_fleet_names_a_job():
    for metric in PROCESS + COUNTED + SCRAPED_FLEET:
        assert not {"finetunejob", "pod", "uid"} & set(metric.label_names)
