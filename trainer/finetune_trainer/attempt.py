"""An attempt: one run of the recipe, from the run file to the exit code, whatever happens in between.

Not here: the recipe itself (`__main__.py`), the reasons (`failures.py`).
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from finetune_trainer.contract import (
    SCHEMA_VERSION,
    ExitCode,
    ExitReport,
    FailureReason,
    Outcome,
    TrainerPhase,
    TrainerRun,
    from_json,
)
from finetune_trainer.failures import Failure, Suspended, TrainerFailure, classify
from finetune_trainer.reporting import exit_report
from finetune_trainer.reporting.journal import Journal
from finetune_trainer.reporting.metrics import Metrics
from finetune_trainer.reporting.server import serve
from finetune_trainer.training.stop import StopRequest

TRACEBACK_FRAMES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What every stage of the recipe may need: the run, where to report to, and whether to stop."""

    run: TrainerRun
    journal: Journal
    metrics: Metrics
    stop: StopRequest


def carry_out(run_file: Path, recipe: Callable[[Attempt], None]) -> ExitCode:
    """Run the recipe and leave an ExitReport behind; the return value is the process's exit status."""
    stop = StopRequest()
    stop.listen()
    try:
        run = read_run(run_file)
    except TrainerFailure as failure:
        return _give_up_before_start(classify(failure))
    attempt = Attempt(run=run, journal=Journal(run.job), metrics=Metrics(run.job), stop=stop)
    stop.leave_with(lambda: _conclude(attempt, Outcome.SUSPENDED))
    print(f"{run.job.namespace}/{run.job.name}, attempt {run.job.attempt}: {run.technique.method} of {run.model.name}")
    if port := serve(attempt.journal, attempt.metrics, run.reporting.port):
        print(f"progress on port {port}")
    return _guarded(attempt, recipe)


def read_run(file: Path) -> TrainerRun:
    """Read the run file.

    Raises:
        TrainerFailure: InvalidRun.
    """
    try:
        return from_json(TrainerRun, file.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainerFailure(FailureReason.INVALID_RUN, f"no run file {file}: {error.strerror}") from error
    except ValueError as error:
        raise TrainerFailure(FailureReason.INVALID_RUN, f"{file}: {error}") from error


def _guarded(attempt: Attempt, recipe: Callable[[Attempt], None]) -> ExitCode:
    """Turn every way to end into an outcome; this is the one place that catches all errors."""
    try:
        recipe(attempt)
    except Suspended as suspended:
        _conclude(attempt, Outcome.SUSPENDED, message=suspended.message)
        return ExitCode.SUSPENDED
    except KeyboardInterrupt:
        _conclude(attempt, Outcome.SUSPENDED, message="interrupted")
        return ExitCode.SUSPENDED
    except Exception as error:  # noqa: BLE001 - the edge of the process
        failure = classify(error)
        if not failure.expected:
            traceback.print_exception(error, limit=TRACEBACK_FRAMES)
        _conclude(attempt, Outcome.FAILED, reason=failure.reason, message=failure.message)
        return failure.exit_code
    _conclude(attempt, Outcome.SUCCEEDED)
    return ExitCode.SUCCEEDED


def _conclude(attempt: Attempt, outcome: Outcome, *, reason: FailureReason | None = None, message: str = "") -> None:
    """Write the report first and tell people second: the process may be killed at any moment."""
    if outcome is Outcome.SUCCEEDED:
        attempt.journal.enter(TrainerPhase.DONE)
    notes = [each for each in (attempt.journal.report.message, message) if each]
    attempt.journal.note(outcome=outcome, reason=reason, message="; ".join(notes))
    report = attempt.journal.report
    log = Path(attempt.run.reporting.termination_log)
    exit_report.write(report, termination_log=log, output=Path(attempt.run.output.directory))
    sys.stdout.write(
        f"{outcome.value}{f' ({reason.value})' if reason else ''} at step {report.step}: {report.message}\n"
    )


def _give_up_before_start(failure: Failure) -> ExitCode:
    """Report without a run: there is no name and no output folder yet, only Kubernetes' usual place."""
    report = ExitReport(
        schema_version=SCHEMA_VERSION, outcome=Outcome.FAILED, reason=failure.reason, message=failure.message
    )
    if exit_report.DEFAULT_TERMINATION_LOG.exists():
        exit_report.write(report, termination_log=exit_report.DEFAULT_TERMINATION_LOG, output=None)
    print(f"{Outcome.FAILED.value} ({failure.reason.value}): {failure.message}")
    return failure.exit_code
