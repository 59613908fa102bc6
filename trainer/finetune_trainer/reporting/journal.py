"""The journal of an attempt: its Progress now, and the ExitReport as far as it is known.

Not here: serving it (`server.py`), counting for Prometheus (`metrics.py`), writing the last word (`exit_report.py`).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from finetune_trainer.contract import ExitReport, JobIdentity, Outcome, Progress, TrainerPhase


class Journal:
    """Holds two frozen documents; readers in other threads get a whole one, old or new.

    `entered` is told each phase that begins, and when (seconds since the epoch).
    """

    def __init__(self, job: JobIdentity, entered: Callable[[TrainerPhase, float], None] | None = None) -> None:
        # A signal handler may run while the main thread is inside, hence reentrant.
        self._lock = threading.RLock()
        self._progress = Progress(attempt=job.attempt, updated_at=time.time())
        self._report = ExitReport(attempt=job.attempt, outcome=Outcome.FAILED)
        self._details: Mapping[str, Any] = MappingProxyType({"phaseSeconds": {}})
        self._entered = time.monotonic()
        self._tell = entered or (lambda _phase, _at: None)
        self._tell(self._progress.phase, time.time())

    @property
    def details(self) -> Mapping[str, Any]:
        """Give what report.json tells beside the report: by section, in JSON's own types."""
        return self._details

    @property
    def progress(self) -> Progress:
        """Give the progress now."""
        return self._progress

    @property
    def report(self) -> ExitReport:
        """Give the report as far as it is known, with what the progress knows better."""
        seen = self._progress
        return replace(
            self._report,
            step=seen.step,
            total_steps=seen.total_steps,
            checkpoint_step=seen.checkpoint_step,
            resumed_from_step=seen.resumed_from_step,
            trained_tokens=seen.trained_tokens,
            peak_memory_bytes=seen.peak_memory_bytes,
        )

    def enter(self, phase: TrainerPhase) -> None:
        """Say what the trainer does from now on, and note how long it did what it did before."""
        now = time.monotonic()
        with self._lock:
            before, seconds = self._progress.phase.value, self._details["phaseSeconds"]
            spent = seconds.get(before, 0.0) + now - self._entered
            self.add(phaseSeconds={**seconds, before: round(spent, 2)})
            self._entered = now
            self.advance(phase=phase, **({"percent": 100} if phase is TrainerPhase.DONE else {}))
        self._tell(phase, time.time())

    def advance(self, **changes: Any) -> None:
        """Replace the progress; numbers that are not finite become None, because JSON has no word for them."""
        finite = {name: None if _is_broken(value) else value for name, value in changes.items()}
        if changes.get("checkpoint_step") is not None:
            finite["checkpoint_at"] = time.time()
        with self._lock:
            self._progress = replace(self._progress, **finite, updated_at=time.time())

    def note(self, **changes: Any) -> None:
        """Replace what the report will say."""
        with self._lock:
            self._report = replace(self._report, **changes)

    def add(self, **sections: Any) -> None:
        """Replace sections of the details."""
        with self._lock:
            self._details = MappingProxyType({**self._details, **sections})


def _is_broken(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
