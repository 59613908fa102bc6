"""What operator and trainer serve is as Prometheus wants it, by Prometheus' own linter."""

import pytest
from finetune_operator.telemetry.instruments import exposition
from finetune_operator.telemetry.metrics import ALL
from finetune_operator.telemetry.process import Telemetry
from finetune_trainer.contract import TRAINER_METRICS, Kind
from rehearsal import STORIES, Stage


@pytest.fixture(scope="module")
def stage():
    """The fleet of the rehearsal after five minutes."""
    there = Stage()
    for second in range(0, 310, 10):
        there.go(float(second))
    return there


def test_promtool_finds_nothing_to_say_about_the_operator(promtool, stage):
    code, said = promtool("check", "metrics", stdin=exposition(stage.telemetry.registry, "")[0].decode())
    ours = [line for line in said.splitlines() if line.startswith("finetune_")]
    assert ours == []
    assert code == 0 or not said.strip(), said


def test_promtool_finds_nothing_to_say_about_a_trainer(promtool, stage):
    for trainer in stage.trainers.values():
        code, said = promtool("check", "metrics", stdin=trainer.exposition()[0].decode())
        assert (code, said) == (0, "")
    assert len(stage.trainers) >= 3


def test_every_metric_of_the_table_is_served(stage):
    told = exposition(stage.telemetry.registry, "")[0].decode()
    told += "".join(trainer.exposition()[0].decode() for trainer in stage.trainers.values())
    missing = [metric.name for metric in ALL if f"# HELP {metric.name} " not in told]
    assert missing == []


def test_a_fresh_operator_shows_every_family_with_help_and_type():
    told = exposition(Telemetry("1").registry, "")[0].decode()
    for line in ("# HELP finetune_jobs_finished_total", "# TYPE finetune_job_first_status_seconds histogram"):
        assert line in told


def test_counters_end_in_total_and_nothing_else_does():
    for metric in ALL:
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert len(TRAINER_METRICS) == 20
    assert len(STORIES) == 8
