"""An attempt: one run of the recipe, from the run file to the exit code, whatever happens in between.

Not here: the recipe itself (`__main__.py`), the reasons (`failures.py`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
from finetune_trainer.distributed import seat
from finetune_trainer.distributed.world import Ending, World
from finetune_trainer.process.failures import Failure, Suspended, TrainerFailure, classify
from finetune_trainer.reporting import exit_report
from finetune_trainer.reporting.journal import Journal
from finetune_trainer.reporting.metrics import Metrics
from finetune_trainer.reporting.report import document
from finetune_trainer.reporting.server import serve
from finetune_trainer.reporting.terminal import shown
from finetune_trainer.training.stop import StopRequest

TRACEBACK_FRAMES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What every stage of the recipe may need: the run, where to report to, whether to stop, and who else is at it."""

    run: TrainerRun
    journal: Journal
    metrics: Metrics
    stop: StopRequest
    world: World = field(default_factory=World)
    ending: threading.Lock = field(default_factory=threading.Lock)
    """Taken by the thread that ends the process: the one that works, or the one that hears of the others."""

    def join(self) -> None:
        """Meet the other processes, if the run has any or its engine wants to be met.

        Raises:
            TrainerFailure: TrainerError, if not all come in time.
        """
        if self.world.size > 1 or self.run.distribution.strategy == "deepspeed":
            self.world.join(lambda ending: _follow(self, ending))


def carry_out(run_file: Path, recipe: Callable[[Attempt], None]) -> ExitCode:
    """Run the recipe and leave an ExitReport behind; the return value is the process's exit status."""
    stop = StopRequest()
    stop.listen()
    try:
        run = read_run(run_file)
        world = World(seat.taken(run.distribution))
    except TrainerFailure as failure:
        return _give_up_before_start(classify(failure))
    metrics = Metrics(run.job, of_all=world.is_first)
    attempt = Attempt(run=run, journal=Journal(run.job, metrics.entered), metrics=metrics, stop=stop, world=world)
    stop.leave_with(lambda: _leave_others(attempt))
    print(f"{run.job.namespace}/{run.job.name}, attempt {run.job.attempt}: {run.technique.method} of {run.model.name}")
    if world.is_first:
        print("".join(f"  {each.name} {each.value}: {each.reason}\n" for each in run.choices), end="")
    if world.seat.local_rank == 0 and (port := serve(attempt.journal, attempt.metrics, run.reporting.port)):
        print(f"progress on port {port}")
    with shown(attempt.journal) if world.is_first else contextlib.nullcontext():
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
        if suspended.__cause__ is not None:  # this process alone could not save
            attempt.world.part("", suspended.message)
        _conclude(attempt, Outcome.SUSPENDED, message=suspended.message)
        return ExitCode.SUSPENDED
    except KeyboardInterrupt:
        _conclude(attempt, Outcome.SUSPENDED, message="interrupted")
        return ExitCode.SUSPENDED
    except Exception as error:  # noqa: BLE001 - the edge of the process
        failure = classify(error)
        attempt.ending.acquire()  # never given back: the process ends
        if not failure.expected:
            if ending := attempt.world.heard():
                return _conclude_as(attempt, ending)
            traceback.print_exception(error, limit=TRACEBACK_FRAMES)
            failure = replace(failure, message=attempt.world.lost(error) or failure.message)
        attempt.world.part(failure.reason.value, failure.message)
        _conclude(attempt, Outcome.FAILED, reason=failure.reason, message=failure.message)
        return failure.exit_code
    _conclude(attempt, Outcome.SUCCEEDED)
    return ExitCode.SUCCEEDED


def _follow(attempt: Attempt, ending: Ending) -> None:
    """End this process because another one has ended: what they do together cannot go on."""
    if not attempt.ending.acquire(blocking=False):
        return
    code = _conclude_as(attempt, ending)
    sys.stdout.flush()
    os._exit(code)


def _conclude_as(attempt: Attempt, ending: Ending) -> ExitCode:
    """Report what another process ended for, so that it does not matter whose report is read."""
    message = f"process {ending.rank}: {ending.message}" if ending.message else ""
    attempt.world.part(ending.reason, ending.message)
    if not ending.reason:
        _conclude(attempt, Outcome.SUSPENDED, message=message)
        return ExitCode.SUSPENDED
    failure = Failure(reason=FailureReason(ending.reason), message=message)
    _conclude(attempt, Outcome.FAILED, reason=failure.reason, message=failure.message)
    return failure.exit_code


def _leave_others(attempt: Attempt) -> None:
    """Say the last words of a process that is asked to stop where nothing can be saved."""
    _conclude(attempt, Outcome.SUSPENDED)
    attempt.world.part("", "asked to stop")


def _conclude(attempt: Attempt, outcome: Outcome, *, reason: FailureReason | None = None, message: str = "") -> None:
    """Write the report first and tell people second: the process may be killed at any moment."""
    if outcome is Outcome.SUCCEEDED:
        attempt.journal.enter(TrainerPhase.DONE)
    notes = [each for each in (attempt.journal.report.message, message) if each]
    attempt.journal.note(outcome=outcome, reason=reason, message="; ".join(notes))
    report, output, place = attempt.journal.report, attempt.run.output, attempt.world.seat
    termination_log = Path(attempt.run.reporting.termination_log)
    if attempt.world.is_first:
        exit_report.write(
            report,
            termination_log=termination_log,
            folders=[Path(output.directory), *(Path(copy) for copy in output.copies if outcome is Outcome.SUCCEEDED)],
            document=document(attempt.run, report, attempt.journal.details),
        )
    elif place.local_rank == 0 and outcome is not Outcome.SUCCEEDED:  # a pod of its own, which tells why it ended
        exit_report.write(report, termination_log=termination_log)
    sys.stdout.write(
        f"{outcome.value}{f' ({reason.value})' if reason else ''} at step {report.step}: {report.message}\n"
    )


def _give_up_before_start(failure: Failure) -> ExitCode:
    """Report without a run: there is no name and no output folder yet, only Kubernetes' usual place."""
    report = ExitReport(
        schema_version=SCHEMA_VERSION, outcome=Outcome.FAILED, reason=failure.reason, message=failure.message
    )
    if exit_report.DEFAULT_TERMINATION_LOG.exists():
        exit_report.write(report, termination_log=exit_report.DEFAULT_TERMINATION_LOG)
    print(f"{Outcome.FAILED.value} ({failure.reason.value}): {failure.message}")
    return failure.exit_code
