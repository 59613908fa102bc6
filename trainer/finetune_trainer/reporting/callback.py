"""The callback that turns what the training library says into Progress, metrics and log lines.

Not here: stopping and saving (`training/loop.py`).
"""

from __future__ import annotations

import resource
import time
from typing import Any

import torch
from transformers import TrainerCallback

from finetune_trainer.contract import TrainerPhase, TrainerRun
from finetune_trainer.contract import metrics as table
from finetune_trainer.distributed.devices import Devices
from finetune_trainer.distributed.seat import Seat
from finetune_trainer.reporting.flops import Cost, cost
from finetune_trainer.reporting.journal import Journal
from finetune_trainer.reporting.metrics import Metrics
from finetune_trainer.reporting.phases import Passes

SECONDS_BETWEEN_LINES = 10
"""A line each step would fill the log of a long run, one a minute would look like a hang."""

LOG_NAMES = ("loss", "eval_loss", "learning_rate", "grad_norm")
"""What the library logs, the progress tells and a metric shows, under one name."""


class ReportingCallback(TrainerCallback):
    """Reports each step; speeds and the time left are those since this start, since a resumed run may be faster."""

    def __init__(self, journal: Journal, metrics: Metrics, run: TrainerRun, seat: Seat) -> None:
        self._journal = journal
        self._metrics = metrics
        self._run = run
        self._rows_per_step = rows_per_step(run)
        self._passes = Passes(metrics)
        self._devices = Devices(run.job, seat)
        self._cost = Cost(0.0, 0.0)
        self._started = self._step_started = self._last_line = time.monotonic()
        self._evaluating = False
        self._first_step = self._first_tokens = self._counted_tokens = 0

    def on_train_begin(self, _args: Any, state: Any, _control: Any, model: Any = None, **_more: Any) -> None:
        """Remember where this start began."""
        counted = self._journal.report
        if model is not None:
            self._passes.attach(model)
            self._cost = cost(model, counted.trainable_parameters or 0, counted.total_parameters or 0)
        self._metrics.set(table.PEAK_FLOPS.name, self._run.reporting.peak_flops)
        self._metrics.mark()
        self._started = self._step_started = self._last_line = time.monotonic()
        self._first_step = state.global_step
        self._first_tokens = self._counted_tokens = int(state.num_input_tokens_seen)
        self._journal.advance(step=state.global_step, total_steps=state.max_steps, epoch=state.epoch)

    def on_train_end(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Leave the model without hooks, as it came."""
        self._passes.detach()

    def on_step_begin(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Start the clock of a step, evaluations and checkpoints before it left out; its rows have been fetched."""
        self._metrics.lap("data")
        self._step_started = time.monotonic()

    def on_substep_end(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """End the passes of a micro-batch that is not the step's last."""
        self._passes.micro_batch_done()

    def on_pre_optimizer_step(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """End the passes of the step's last micro-batch; what follows is the optimizer's."""
        self._passes.micro_batch_done()
        self._metrics.mark()

    def on_optimizer_step(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Enter the optimizer's part."""
        self._metrics.lap("optimizer")

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
        self._measure_step(state, tokens - self._counted_tokens, now - self._step_started)
        self._metrics.set(table.CHECKPOINT_INTERVAL.name, self._checkpoint_interval(elapsed / done))
        self._counted_tokens = tokens

    def on_prediction_step(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Tell Prometheus of an evaluation amid the training, in which no step is made."""
        if not self._evaluating and self._journal.progress.phase is TrainerPhase.TRAINING:
            self._evaluating = True
            self._metrics.entered(TrainerPhase.EVALUATING, time.time())

    def on_evaluate(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Let the next phase begin after an evaluation."""
        if self._evaluating:
            self._evaluating = False
            self._metrics.entered(TrainerPhase.TRAINING, time.time())
        self._metrics.mark()

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, Any] | None = None, **_more: Any) -> None:
        """Take over the numbers that the library logs."""
        said = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, int | float)}
        numbers = {name: said[name] for name in LOG_NAMES if name in said}
        self._journal.advance(**numbers)
        for name, value in numbers.items():
            self._metrics.set(f"finetune_job_{name}", value)
        self._metrics.set(table.TOKEN_ACCURACY.name, said.get("mean_token_accuracy"))
        last = state.global_step in (self._first_step + 1, state.max_steps)
        if "loss" in numbers and (last or time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES):
            self._last_line = time.monotonic()
            self._print_line()
        self._metrics.mark()

    def _measure_step(self, state: Any, tokens: int, seconds: float) -> None:
        self._passes.step_done()
        self._metrics.add(table.STEPS.name)
        self._metrics.add(table.SAMPLES.name, self._rows_per_step)
        self._metrics.add(table.TOKENS.name, tokens)
        self._metrics.add(table.FLOPS.name, self._cost.of(tokens, self._rows_per_step))
        self._metrics.observe_step(seconds)
        self._metrics.set(table.EPOCH.name, state.epoch)
        self._metrics.set(table.LAST_STEP.name, time.time())
        if torch.cuda.is_available():
            self._devices.note(torch.cuda.memory_allocated())
            for device, held in self._devices.held().items():
                self._metrics.set(table.GPU_MEMORY.name, held, str(device))
        self._metrics.mark()

    def _checkpoint_interval(self, step_seconds: float) -> float | None:
        settings = self._run.checkpoints
        by_steps = settings.every_steps * step_seconds if settings.every_steps else None
        return min((each for each in (by_steps, settings.every_seconds) if each), default=None)

    def _print_line(self) -> None:
        now = self._journal.progress
        loss = "not finite" if now.loss is None else f"{now.loss:.4f}"
        print(
            f"step {now.step}/{now.total_steps}: loss {loss}, "
            f"{now.samples_per_second} rows/s, {now.tokens_per_second} tokens/s, {now.eta_seconds} s left"
        )


def rows_per_step(run: TrainerRun) -> int:
    """Give the rows of an optimizer step over all processes."""
    training, spread = run.training, run.distribution
    rows = training.micro_batch_size * training.gradient_accumulation_steps
    return rows * spread.nodes * spread.processes_per_node


def peak_memory_bytes() -> int:
    """Give the most memory held so far: the GPU's if there is one, else the whole process's."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
