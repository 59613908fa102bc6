"""The best checkpoint by a metric: kept, delivered instead of the last, and a reason to stop when it stays the best.

What was measured stands in the library's log, which goes into each checkpoint: a resumed run judges as if it had never
stopped.

Not here: the measuring (`objectives/`), what a checkpoint is on disk (`checkpoints.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import TrainerCallback

from finetune_trainer.adapters import registry as adapters
from finetune_trainer.contract import EarlyStopping, TrainerRun
from finetune_trainer.objectives.measures import LOSS, LOWER_IS_BETTER
from finetune_trainer.process.attempt import Attempt
from finetune_trainer.training.callbacks import NothingLeft
from finetune_trainer.training.checkpoints import CheckpointStore

Measured = list[tuple[int, float]]


def callbacks(run: TrainerRun, store: CheckpointStore) -> list[TrainerCallback]:
    """Make what watches the measurements of a run, if anything does."""
    metric = chosen_by(run)
    if metric is None:
        return []
    stopping = run.training.early_stopping
    return [KeepBest(metric, store), *([StopEarly(metric, stopping)] if stopping else [])]


def chosen_by(run: TrainerRun) -> str | None:
    """Name the metric that the best checkpoint is chosen by; None: the last one is delivered."""
    return run.evaluation.best or (LOSS if run.training.early_stopping else None)


def measured(state: Any, metric: str) -> Measured:
    """Return the step and the value of each measurement so far, lower values being better ones.

    The untouched model is left out: where several processes train, it is measured within training as step 0.
    """
    sign = 1.0 if metric in LOWER_IS_BETTER else -1.0
    name = f"eval_{metric}"
    return [(each["step"], sign * each[name]) for each in state.log_history if name in each and each["step"]]


def best_step(found: Sequence[tuple[int, float]]) -> int | None:
    """Return the step of the best measurement, the first of equal ones."""
    return min(found, key=lambda each: each[1])[0] if found else None


def without_progress(values: Sequence[float], threshold: float) -> int:
    """Count the measurements since the last one that was better than all before it by more than the threshold."""
    best, since = float("inf"), 0
    for value in values:
        since = 0 if value < best - threshold else since + 1
        best = min(best, value)
    return since


class KeepBest(TrainerCallback):  # type: ignore[misc]
    """Saves a checkpoint at each new best measurement, and keeps it."""

    def __init__(self, metric: str, store: CheckpointStore) -> None:
        self._metric, self._store = metric, store

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Know the best one of the attempts before."""
        self._store.keep_step(best_step(measured(state, self._metric)))

    def on_evaluate(self, _args: Any, state: Any, control: Any, **_more: Any) -> None:
        """Look at the newest measurement, which is in the log already."""
        step = best_step(measured(state, self._metric))
        if step == state.global_step:
            control.should_save = True
            self._store.keep_step(step)


class StopEarly(TrainerCallback):  # type: ignore[misc]
    """Ends training after so many measurements without progress."""

    def __init__(self, metric: str, settings: EarlyStopping) -> None:
        self._metric, self._settings = metric, settings

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Train nothing more if the attempt before had stopped here."""
        if self._is_over(state):
            raise NothingLeft

    def on_evaluate(self, _args: Any, state: Any, control: Any, **_more: Any) -> None:
        """Stop, with a checkpoint to go on to the delivery from."""
        if self._is_over(state):
            control.should_training_stop = control.should_save = True
            print(f"step {state.global_step}: {self._metric} is no better since {self._settings.patience} measurements")

    def _is_over(self, state: Any) -> bool:
        values = [value for _step, value in measured(state, self._metric)]
        return without_progress(values, self._settings.threshold) >= self._settings.patience


def deliver(trainer: Any, attempt: Attempt, store: CheckpointStore) -> None:
    """Put the weights of the best checkpoint back into the model; the last ones stay if it is lost."""
    metric = chosen_by(attempt.run)
    step = best_step(measured(trainer.state, metric)) if metric else None
    if step is None or step == trainer.state.global_step:
        return
    found = store.at(step)
    if found is None:
        message = f"the best checkpoint, of step {step} by {metric}, is lost or damaged: the last step is delivered"
        attempt.journal.note(message="; ".join(each for each in (attempt.journal.report.message, message) if each))
        return
    trainer.state.best_model_checkpoint = str(found.path)
    trainer._load_best_model()  # noqa: SLF001 - the library loads it only where it also decides when to save
    adapters.restore(trainer.model, found.path)
    attempt.journal.add(deliveredStep=step)
    print(f"going back to step {step}, the best by {metric}")
