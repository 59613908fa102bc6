import math

import pytest
from finetune_trainer.contract import TRAINER_METRICS, JobIdentity, Kind, TrainerPhase
from finetune_trainer.contract import metrics as table
from finetune_trainer.reporting.metrics import Metrics

GAUGES = [metric for metric in TRAINER_METRICS if metric.kind is Kind.GAUGE and metric is not table.PHASE]
COUNTERS = [metric for metric in TRAINER_METRICS if metric.kind is Kind.COUNTER]
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def metrics():
    return Metrics(JobIdentity(namespace="default", name="reviews", uid="u", attempt=2))


def text(metrics, accept=""):
    return metrics.exposition(accept)[0].decode()


def fill(metrics):
    for metric in GAUGES:
        metrics.set(metric.name, 1.0, *(["0"] if "gpu" in metric.label_names else []))
    metrics.entered(TrainerPhase.TRAINING, 1.0)
    metrics.observe_step(0.2)
    metrics.lap("data")


def test_every_series_of_ours_carries_the_job_and_the_attempt(metrics):
    fill(metrics)
    series = [line for line in text(metrics).splitlines() if line.startswith("finetune_")]
    want = 'attempt="2",finetunejob="reviews"'
    assert len(series) > 25
    assert [line for line in series if want not in line or 'namespace="default"' not in line] == []


def test_all_of_the_table_is_served(metrics):
    fill(metrics)
    told = text(metrics)
    for metric in TRAINER_METRICS:
        name = f"{metric.name}_bucket" if metric.kind is Kind.HISTOGRAM else metric.name
        assert f"\n{name}{{" in told


def test_counters_are_there_at_0_before_anything_happens(metrics):
    for metric in COUNTERS:
        assert f"\n{metric.name}{{" in text(metrics)
    for result in ("succeeded", "failed"):
        assert f'result="{result}"}} 0.0' in text(metrics)


def test_gauges_are_absent_until_they_are_known(metrics):
    assert "\nfinetune_job_loss{" not in text(metrics)
    assert "\nfinetune_job_peak_flops{" not in text(metrics)


def test_nothing_is_served_that_no_panel_asks_for_since_each_family_is_a_series_for_every_pod(metrics):
    fill(metrics)
    families = {line.split()[2] for line in text(metrics).splitlines() if line.startswith("# HELP")}
    assert families == {metric.name for metric in TRAINER_METRICS}


def test_the_phase_is_shown_with_its_beginning_and_the_one_before_is_not(metrics):
    metrics.entered(TrainerPhase.LOADING_MODEL, 5.0)
    metrics.entered(TrainerPhase.TRAINING, 7.0)
    shown = [line for line in text(metrics).splitlines() if line.startswith(table.PHASE.name)]
    assert shown == [
        f'{table.PHASE.name}{{attempt="2",finetunejob="reviews",namespace="default",phase="Training"}} 7.0'
    ]


def test_a_pod_that_is_not_the_first_tells_of_its_devices_only():
    other = Metrics(JobIdentity(namespace="default", name="reviews", uid="u", attempt=2), of_all=False)
    fill(other)
    other.add("finetune_training_steps")
    families = {line.split()[2] for line in text(other).splitlines() if line.startswith("# HELP")}
    assert families == {table.GPU_MEMORY.name}


def test_a_number_that_is_not_finite_leaves_the_last_one(metrics):
    metrics.set("finetune_job_loss", 0.5)
    metrics.set("finetune_job_loss", math.nan)
    metrics.set("finetune_job_loss", None)
    assert 'namespace="default"} 0.5' in text(metrics)


def test_a_counter_goes_by_its_name_with_and_without_its_ending(metrics):
    metrics.add("finetune_training_nonfinite_steps")
    metrics.add("finetune_training_nonfinite_steps_total")
    assert 'finetune_training_nonfinite_steps_total{attempt="2",finetunejob="reviews",namespace="default"} 2.0' in text(
        metrics
    )


def test_a_checkpoint_is_counted_by_result_and_as_a_phase(metrics):
    metrics.count_checkpoint("failed")
    told = text(metrics)
    assert 'result="failed"} 1.0' in told
    assert 'phase_seconds_total{attempt="2",finetunejob="reviews",namespace="default",phase="checkpoint"} ' in told


def test_openmetrics_is_spoken_to_those_who_ask_for_it(metrics):
    assert text(metrics, OPENMETRICS).endswith("# EOF\n")
