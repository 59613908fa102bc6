"""The callbacks that steer training: save in time, stop when asked, stop when the numbers break.

Not here: reporting (`reporting/callback.py`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback

from finetune_trainer.contract import FailureReason
from finetune_trainer.distributed import engines
from finetune_trainer.process import memory
from finetune_trainer.process.attempt import Attempt
from finetune_trainer.process.failures import TrainerFailure
from finetune_trainer.training.checkpoints import CheckpointStore

TIES = "distribution"
"""The fact of a checkpoint that says what its optimizer is tied to."""

TRIM_EVERY = 64
"""Batches between two moments at which a CPU's free memory is given back."""


class Interrupted(Exception):
    """An evaluation amid training was left because the attempt is asked to stop."""


class NothingLeft(Exception):
    """The checkpoint is of the last step; the library would train one step more."""


class Begin(TrainerCallback):
    """Does something once the library has wrapped the model, before the first step."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action

    def on_train_begin(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Do it."""
        self._action()


class Baseline(TrainerCallback):
    """Measures the untouched model once the engine holds it.

    DeepSpeed cannot measure before it trains, and a model that accelerate has prepared for measuring is never wrapped
    in DDP any more: each process would train for itself.
    """

    def __init__(self, trainer: Any, measure: Callable[[], None]) -> None:
        self._trainer = trainer
        self._measure = measure

    def on_train_begin(self, _args: Any, state: Any, control: Any, **_more: Any) -> None:
        """Measure, and leave no trace in the library's log, random numbers or other callbacks."""
        handler, logged = self._trainer.callback_handler, len(state.log_history)
        others = handler.callbacks
        handler.callbacks = [each for each in others if isinstance(each, Saver | Trim)]
        try:
            with torch.random.fork_rng():
                self._measure()
        finally:
            handler.callbacks = others
        del state.log_history[logged:]
        control.should_log = control.should_save = control.should_evaluate = False


class Trim(TrainerCallback):
    """Gives free memory back every so many batches.

    Batches of many lengths leave holes that glibc keeps and rarely fills: a run's memory would grow for as long as it
    lasts, past what was planned (a quantized MiniLM's from 1,386 MiB after 60 steps to 1,511 after 400).
    """

    def __init__(self) -> None:
        self._batches = 0

    def on_step_end(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Count the last batch of a step."""
        self._count()

    def on_substep_end(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Count a batch whose gradients are only added up."""
        self._count()

    def on_prediction_step(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Count a batch that is evaluated."""
        self._count()

    def _count(self) -> None:
        self._batches += 1
        if self._batches % TRIM_EVERY == 0:
            memory.give_back()


class Guard(TrainerCallback):
    """Stops training at the first number that is not finite, before a checkpoint of broken weights is written."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, Any] | None = None, **_more: Any) -> None:
        """Look at loss and gradient of the step; the log comes before the save."""
        for name in ("loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                self._attempt.metrics.add("finetune_training_nonfinite_steps")
                raise TrainerFailure(FailureReason.NON_FINITE_LOSS, self._message(name, value, state.global_step))

    def _message(self, name: str, value: float, step: int) -> str:
        kept = self._attempt.journal.progress.checkpoint_step
        safe = "no checkpoint was written before" if kept is None else f"checkpoint-{kept} is still good"
        rate = self._attempt.run.training.learning_rate
        return (
            f"{name.replace('_', ' ')} is {value} at step {step}; {safe}. "
            f"Lower spec.training.learningRate (now {rate:g}) or raise warmupSteps"
        )


class Saver(TrainerCallback):
    """Decides when a checkpoint is due, and makes what the library wrote a complete one."""

    def __init__(self, attempt: Attempt, store: CheckpointStore, *, seconds_before: float) -> None:
        self._attempt = attempt
        self._store = store
        self._seconds_before = seconds_before
        self._started = self._saved_at = time.monotonic()

    def train_seconds(self) -> float:
        """Give the time spent training, attempts before this one included."""
        return self._seconds_before + time.monotonic() - self._started

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Start the clocks; leave at once if the checkpoint is the last step's."""
        self._started = self._saved_at = time.monotonic()
        if state.global_step >= state.max_steps:
            raise NothingLeft

    def on_step_end(self, _args: Any, state: Any, control: Any, **_more: Any) -> None:
        """Ask for a checkpoint every so many steps or seconds, after the last step, and when asked to stop."""
        stop, due = self._attempt.world.agree(self._attempt.stop.requested, self._is_due(state))
        if stop:
            self._attempt.stop.requested = control.should_training_stop = True
            control.should_evaluate = False
        if stop or due:
            control.should_save = True

    def on_prediction_step(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Leave an evaluation when asked to stop: it may take longer than the pod is given."""
        if self._attempt.world.agree(self._attempt.stop.requested)[0]:
            self._attempt.stop.requested = True
            raise Interrupted

    def on_save(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Complete the checkpoint."""
        facts = {
            "metrics_before": self._attempt.journal.report.metrics_before,
            "train_seconds": round(self.train_seconds(), 2),
            **({TIES: tied} if (tied := engines.ties(self._attempt.run.distribution)) else {}),
        }
        self._attempt.world.wait()  # until all have written their part
        saved = self._attempt.world.share(lambda: self._store.commit(state.global_step, facts))
        self._saved_at = time.monotonic()
        self._attempt.journal.advance(checkpoint_step=saved.step)
        self._attempt.metrics.count_checkpoint("succeeded")
        self._attempt.metrics.add("finetune_training_checkpoint_bytes", saved.manifest.bytes)
        print(f"step {saved.step}: checkpoint of {saved.manifest.bytes:,} bytes complete")

    def _is_due(self, state: Any) -> bool:
        settings = self._attempt.run.checkpoints
        if settings.every_steps is not None and state.global_step % settings.every_steps == 0:
            return True
        if settings.every_seconds is not None and time.monotonic() - self._saved_at >= settings.every_seconds:
            return True
        return bool(state.global_step >= state.max_steps)
