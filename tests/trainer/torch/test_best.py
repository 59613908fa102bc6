"""The best checkpoint by a metric, and stopping when nothing gets better."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from finetune_trainer.contract import EarlyStopping, ExitCode

WITHOUT_PROGRESS = {
    "all better": ([3.0, 2.0, 1.0], 0.0, 0),
    "the last two worse": ([3.0, 1.0, 2.0, 1.5], 0.0, 2),
    "equal is no progress": ([1.0, 1.0], 0.0, 1),
    "a little better is no progress": ([1.0, 0.95, 0.9], 0.2, 2),
    "nothing measured": ([], 0.0, 0),
}


@pytest.mark.parametrize(("values", "threshold", "want"), WITHOUT_PROGRESS.values(), ids=WITHOUT_PROGRESS)
def test_measurements_without_progress_are_counted(values, threshold, want):
    from finetune_trainer.training import best

    assert best.without_progress(values, threshold) == want


def test_the_first_of_equal_measurements_is_the_best():
    from finetune_trainer.training import best

    assert best.best_step([(2, 1.0), (4, 0.5), (6, 0.5)]) == 4
    assert best.best_step([]) is None


@pytest.fixture
def overfitting(a_small_run):
    """Give a run that soon gets worse on rows it has not seen, and stops after two measurements of that.

    Few rows at a constant rate: it overfits early and ever more, whatever model the maker of the samples came to here.
    """
    pace = {"training__learning_rate": 5e-3, "training__scheduler": "constant"}
    run = a_small_run(task="chat", method="full", rows=16, training__max_steps=40, **pace)
    return replace(
        run,
        training=replace(run.training, early_stopping=EarlyStopping(patience=2, threshold=0.0)),
        evaluation=replace(run.evaluation, every_steps=3, baseline=False),
        checkpoints=replace(run.checkpoints, every_steps=None, keep=1),
    )


def curve(run):
    return json.loads((Path(run.output.directory) / "report.json").read_text(encoding="utf-8"))


def stop_at(step, monkeypatch):
    from finetune_trainer.reporting.callback import ReportingCallback

    on_step_end = ReportingCallback.on_step_end

    def send(self, args, state, control, **more):
        on_step_end(self, args, state, control, **more)
        if state.global_step == step:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ReportingCallback, "on_step_end", send)


def test_training_ends_when_the_loss_no_longer_falls_and_the_best_step_is_delivered(
    overfitting, carry_out, monkeypatch
):
    code, report = carry_out(overfitting)
    whole = curve(overfitting)
    losses = {each["step"]: each["loss"] for each in whole["history"]["measured"]}
    best = min(losses, key=losses.get)
    assert (code, report.step, whole["deliveredStep"]) == (ExitCode.SUCCEEDED, best + 6, best)
    assert report.metrics_after["loss"] == pytest.approx(losses[best], abs=1e-4)

    elsewhere = replace(overfitting.checkpoints, directory=f"{overfitting.checkpoints.directory}-again")
    again = replace(overfitting, checkpoints=elsewhere)
    with monkeypatch.context() as patch:
        stop_at(best + 2, patch)
        assert carry_out(again)[0] == ExitCode.SUSPENDED
    _code, resumed = carry_out(again)
    assert (resumed.resumed_from_step, resumed.step) == (best + 2, report.step)
    assert resumed.metrics_after == report.metrics_after
    _code, over = carry_out(again)
    assert (over.resumed_from_step, over.step, over.metrics_after) == (report.step, report.step, report.metrics_after)


def test_the_best_by_a_metric_that_should_grow_is_delivered(a_small_run, carry_out):
    run = a_small_run(task="token-classification", rows=120, training__max_steps=9, training__learning_rate=2e-2)
    run = replace(run, evaluation=replace(run.evaluation, every_steps=3, best="recall", metrics=("recall", "f1")))
    _code, report = carry_out(run)
    measured = curve(run)["history"]["measured"]
    assert report.metrics_after["recall"] == pytest.approx(max(each["recall"] for each in measured[1:]), abs=1e-4)
    assert set(report.metrics_after) == {"recall", "f1", "loss"}
