import math

import pytest
from finetune_trainer.contract import JobIdentity
from finetune_trainer.reporting.metrics import COUNTERS, GAUGES, Metrics


@pytest.fixture
def metrics():
    return Metrics(JobIdentity(namespace="default", name="reviews", uid="u", attempt=2))


def test_every_series_carries_the_job_and_the_attempt(metrics):
    metrics.set("finetune_job_loss", 0.5)
    metrics.observe_step(0.2)
    series = [line for line in metrics.text().decode().splitlines() if not line.startswith("#")]
    want = 'attempt="2",finetunejob="reviews"'
    assert [line for line in series if want not in line or 'namespace="default"' not in line] == []


def test_all_of_the_table_is_served(metrics):
    for name in GAUGES:
        metrics.set(name, 1.0)
    text = metrics.text().decode()
    for name in (*GAUGES, *(f"{name}_total" for name in COUNTERS), "finetune_training_step_seconds_bucket"):
        assert f"\n{name}{{" in text
    for result in ("succeeded", "failed"):
        assert f'result="{result}"}} 0.0' in text


def test_a_number_that_is_not_finite_leaves_the_last_one(metrics):
    metrics.set("finetune_job_loss", 0.5)
    metrics.set("finetune_job_loss", math.nan)
    metrics.set("finetune_job_loss", None)
    assert 'namespace="default"} 0.5' in metrics.text().decode()


def test_checkpoints_are_counted_by_result(metrics):
    metrics.count_checkpoint("failed")
    assert 'result="failed"} 1.0' in metrics.text().decode()
