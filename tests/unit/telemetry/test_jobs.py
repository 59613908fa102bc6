"""What dashboards see of jobs."""

import dataclasses

from finetune_operator.telemetry.jobs import MAX_JOBS, JobsCollector, JobView
from prometheus_client import CollectorRegistry, generate_latest

VIEW = JobView(
    namespace="team",
    name="reviews",
    uid="u",
    phase="Running",
    task="chat",
    method="lora",
    base_model="m" * 500,
    accelerator="cpu",
    created=1.0,
    started=2.0,
    finished=None,
    progress=0.5,
    eta=9.0,
    attempt=1,
    conditions=(("Running", "True"),),
)


def scrape(*views: JobView) -> str:
    registry = CollectorRegistry(auto_describe=True)
    registry.register(JobsCollector(lambda: views))
    return generate_latest(registry).decode()


def test_a_job_shows_phase_progress_and_eta():
    text = scrape(VIEW)
    assert 'finetune_jobs{method="lora",namespace="team",phase="Running"} 1.0' in text
    assert 'finetune_job_progress_ratio{finetunejob="reviews",namespace="team"} 0.5' in text
    assert "finetune_job_finished_timestamp_seconds{" not in text


def test_a_deleted_job_leaves_no_series():
    assert "reviews" not in scrape()


def test_jobs_beyond_the_cap_are_counted_and_the_running_ones_are_kept():
    ended = [dataclasses.replace(VIEW, name=f"old-{n}", finished=5.0, created=10.0 + n) for n in range(MAX_JOBS)]
    text = scrape(*ended, VIEW)
    assert "finetune_metrics_jobs_dropped 1.0" in text
    assert 'finetunejob="reviews"' in text
    assert 'finetunejob="old-0"' not in text


def test_long_model_names_are_cut():
    assert "m" * 121 not in scrape(VIEW)
