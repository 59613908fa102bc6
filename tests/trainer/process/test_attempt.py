import re
import signal
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from finetune_trainer.contract import (
    Choice,
    DistributionSettings,
    ExitCode,
    ExitReport,
    FailureReason,
    Outcome,
    TrainerPhase,
    from_json,
    to_json,
)
from finetune_trainer.process.attempt import carry_out
from finetune_trainer.process.failures import Suspended, TrainerFailure


@pytest.fixture(autouse=True)
def _keep_the_signal_handler():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def attempt(tmp_path, a_run):
    """Carry out a recipe and give exit code and report."""

    def carry(recipe, **changes):
        run = replace(a_run(), **changes)
        file = tmp_path / "run.json"
        file.write_text(to_json(run))
        code = carry_out(file, recipe)
        return code, from_json(ExitReport, Path(run.reporting.termination_log).read_text())

    return carry


def test_a_recipe_that_ends_has_succeeded(attempt):
    code, report = attempt(lambda attempt: attempt.journal.note(metrics_after={"accuracy": 0.8}))
    assert (code, report.outcome, report.reason) == (ExitCode.SUCCEEDED, Outcome.SUCCEEDED, None)
    assert report.metrics_after == {"accuracy": 0.8}


@pytest.mark.parametrize(
    ("rank", "serves", "of_all"),
    [(0, True, True), (2, True, False), (1, False, False)],
    ids=["the first process of all", "the first of another pod, about its devices", "no other"],
)
def test_one_process_of_each_pod_answers_prometheus(seated, rank, serves, of_all):
    told = seated(rank)
    assert bool(told) == serves
    assert ("# HELP finetune_gpu_memory_allocated_bytes" in told) == serves
    assert ("finetune_training_steps_total{" in told) == of_all


@pytest.fixture
def seated(tmp_path, a_run, monkeypatch, capsys):
    """Carry out a run in one of four processes; return what it serves to Prometheus meanwhile."""

    def carry(rank):
        run = replace(a_run(), distribution=DistributionSettings(strategy="ddp", nodes=2, processes_per_node=2))
        (tmp_path / "run.json").write_text(to_json(run))
        words = {"RANK": rank, "WORLD_SIZE": 4, "LOCAL_RANK": rank % 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": 1}
        for name, value in {**words, "MASTER_ADDR": "localhost"}.items():
            monkeypatch.setenv(name, str(value))
        told = []

        def ask(_attempt):
            for port in re.findall(r"progress on port (\d+)", capsys.readouterr().out):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    told.append(answer.read().decode())

        carry_out(tmp_path / "run.json", ask)
        return "".join(told)

    return carry


CHOSEN = Choice(name="training.learningRate", value="0.01", reason="ia3 trains few parameters")


def test_the_log_begins_with_what_was_chosen_and_why(attempt, capsys):
    attempt(lambda attempt: None, choices=(CHOSEN,))
    assert capsys.readouterr().out.splitlines()[1] == "  training.learningRate 0.01: ia3 trains few parameters"


def failing(error):
    def recipe(attempt):
        attempt.journal.enter(TrainerPhase.TRAINING)
        attempt.journal.advance(step=5, checkpoint_step=4)
        raise error

    return recipe


def test_a_failure_keeps_its_reason_and_what_was_reached(attempt):
    code, report = attempt(failing(TrainerFailure(FailureReason.NON_FINITE_LOSS, "loss is nan at step 5")))
    assert (code, report.outcome, report.reason) == (23, Outcome.FAILED, FailureReason.NON_FINITE_LOSS)
    assert (report.message, report.step, report.checkpoint_step) == ("loss is nan at step 5", 5, 4)


def test_an_expected_failure_prints_no_traceback(attempt, capsys):
    attempt(failing(TrainerFailure(FailureReason.DATA_INVALID, "row 7")))
    assert capsys.readouterr().err == ""


def test_an_unexpected_error_prints_one(attempt, capsys):
    code, report = attempt(failing(KeyError("label")))
    assert (code, report.reason, report.message) == (1, FailureReason.TRAINER_ERROR, "KeyError: 'label'")
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("error", [Suspended("stopped at step 5"), KeyboardInterrupt()], ids=["asked", "interrupted"])
def test_a_stopped_attempt_is_suspended(attempt, error):
    code, report = attempt(failing(error))
    assert (code, report.outcome, report.reason, report.step) == (30, Outcome.SUSPENDED, None, 5)


def test_notes_of_the_run_stay_in_the_message(attempt):
    def recipe(attempt):
        attempt.journal.note(message="checkpoint-20 is damaged")
        raise Suspended("stopped at step 25")

    assert attempt(recipe)[1].message == "checkpoint-20 is damaged; stopped at step 25"


BAD_RUNS = {"not json": "{", "another version": '{"schemaVersion": 99}', "not utf-8": b"\xff\xfe"}


@pytest.mark.parametrize("content", BAD_RUNS.values(), ids=BAD_RUNS)
def test_a_run_file_that_cannot_be_read_is_an_invalid_run(tmp_path, capsys, content):
    file = tmp_path / "run.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert carry_out(file, failing(AssertionError())) is ExitCode.INVALID_RUN
    assert "Failed (InvalidRun)" in capsys.readouterr().out


def test_a_missing_run_file_is_named(tmp_path, capsys):
    assert carry_out(tmp_path / "absent.json", failing(AssertionError())) is ExitCode.INVALID_RUN
    assert "absent.json: No such file" in capsys.readouterr().out
