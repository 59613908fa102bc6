"""The callback that turns what the training library says into Progress, metrics and log lines.

Not here: stopping and saving (`training/loop.py`).
"""

from __future__ import annotations

import resource
import time
from typing import Any

import torch
from transformers import TrainerCallback

from finetune_trainer.reporting.journal import Journal
from finetune_trainer.reporting.metrics import Metrics

SECONDS_BETWEEN_LINES = 10
"""A line each step would fill the log of a long run, one a minute would look like a hang."""

LOG_NAMES = {"loss": "loss", "eval_loss": "eval_loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm"}


class ReportingCallback(TrainerCallback):
    """Reports each step; speeds and the time left are those since this start, since a resumed run may be faster."""

    def __init__(self, journal: Journal, metrics: Metrics, rows_per_step: int) -> None:
        self._journal = journal
        self._metrics = metrics
        self._rows_per_step = rows_per_step
        self._started = self._step_started = self._last_line = time.monotonic()
        self._first_step = self._first_tokens = self._counted_tokens = 0

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Remember where this start began."""
        self._started = self._step_started = self._last_line = time.monotonic()
        self._first_step = state.global_step
        self._first_tokens = self._counted_tokens = int(state.num_input_tokens_seen)
        self._journal.advance(step=state.global_step, total_steps=state.max_steps, epoch=state.epoch)

    def on_step_begin(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Start the clock of a step, evaluations and checkpoints before it left out."""
        self._step_started = time.monotonic()

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Show the step at once; its loss follows with the log."""
        now = time.monotonic()
        elapsed, done = now - self._started, state.global_step - self._first_step
        tokens = int(state.num_input_tokens_seen)
        self._journal.advance(
            step=state.global_step,
            total_steps=state.max_steps,
            epoch=state.epoch,
            percent=min(99, 100 * state.global_step // max(state.max_steps, 1)),
            eta_seconds=round(elapsed / done * (state.max_steps - state.global_step)),
            trained_tokens=tokens,
            tokens_per_second=round((tokens - self._first_tokens) / elapsed, 1),
            samples_per_second=round(done * self._rows_per_step / elapsed, 2),
            peak_memory_bytes=peak_memory_bytes(),
        )
        self._metrics.add("finetune_training_steps")
        self._metrics.add("finetune_training_samples", self._rows_per_step)
        self._metrics.add("finetune_training_tokens", tokens - self._counted_tokens)
        self._counted_tokens = tokens
        self._metrics.observe_step(now - self._step_started)
        self._metrics.set("finetune_job_epoch_ratio", state.epoch)
        self._metrics.set("finetune_job_last_step_timestamp_seconds", time.time())

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, Any] | None = None, **_more: Any) -> None:
        """Take over the numbers that the library logs."""
        numbers = {ours: float(logs[name]) for name, ours in LOG_NAMES.items() if logs and logs.get(name) is not None}
        self._journal.advance(**numbers)
        for name, value in numbers.items():
            self._metrics.set(f"finetune_job_{name}", value)
        last = state.global_step in (self._first_step + 1, state.max_steps)
        if "loss" in numbers and (last or time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES):
            self._last_line = time.monotonic()
            self._print_line()

    def _print_line(self) -> None:
        now = self._journal.progress
        loss = "not finite" if now.loss is None else f"{now.loss:.4f}"
        print(
            f"step {now.step}/{now.total_steps}: loss {loss}, "
            f"{now.samples_per_second} rows/s, {now.tokens_per_second} tokens/s, {now.eta_seconds} s left"
        )


def peak_memory_bytes() -> int:
    """Give the most memory held so far: the GPU's if there is one, else the whole process's."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
