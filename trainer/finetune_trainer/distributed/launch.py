"""Starts the processes of a node and ends when they have: one of them failing ends all, with its exit code.

It needs neither torch nor memory to speak of, hands SIGTERM on to all, and never starts a process again: whether to try
once more is decided outside.

Not here: what the processes tell each other (`world.py`).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from finetune_trainer.contract import TrainerRun, from_json
from finetune_trainer.distributed import seat
from finetune_trainer.distributed.seat import Seat
from finetune_trainer.process.failures import TrainerFailure

LAST_WORDS_SECONDS = 60.0
"""How long the others have to leave by themselves once one has failed: they are told why, and report it."""

KILLED = 128
"""Added to a signal's number, as shells do, where a process was killed and left no exit status."""

PR_SET_PDEATHSIG = 1
"""Linux: the signal that a process gets when the one that started it is gone."""


def seats_to_fill(run_file: Path) -> tuple[Seat, ...]:
    """Give the seats of the processes to start here; none where this process is to do the work, or to refuse it."""
    try:
        distribution = from_json(TrainerRun, run_file.read_text(encoding="utf-8")).distribution
        return seat.of_node(distribution) if seat.taken(distribution) is None else ()
    except (OSError, ValueError, TrainerFailure):
        return ()  # told about by `attempt.py`, which reads the run again and leaves a report


def launch(seats: Sequence[Seat]) -> int:
    """Run this program once for each seat and return the exit status: the first that was not 0, else 0.

    A request to stop that comes before all are started reaches those that are, and no other is started.
    """
    command = [sys.executable, *sys.orig_argv[1:]]
    node = _Node()
    with node.handing_on(), concurrent.futures.ThreadPoolExecutor(len(seats)) as waiters:
        for each in seats:
            node.start(command, os.environ | each.words)
        ends = {waiters.submit(process.wait): process for process in node.started}
        failed, left = _first_failure(ends)
        _done, late = concurrent.futures.wait(left, timeout=LAST_WORDS_SECONDS)
        for end in late:
            ends[end].kill()
    if not ends:
        return KILLED + signal.SIGTERM
    return failed if failed >= 0 else KILLED - failed


def die_with_parent() -> None:
    """Let the kernel end this process with the one that started it, however that ends; only Linux can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _first_failure(
    ends: Mapping[concurrent.futures.Future[int], object],
) -> tuple[int, set[concurrent.futures.Future[int]]]:
    """Wait until one fails or all are done; return the exit status and who is not done."""
    left = set(ends)
    while left:
        done, left = concurrent.futures.wait(left, return_when=concurrent.futures.FIRST_COMPLETED)
        for end in done:
            if end.result() != 0:
                return end.result(), left
    return 0, left


class _Node:
    """The processes started, and those of them that a request to stop has reached."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []
        self.stopping = False
        self._reached = 0

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start another one, unless a request to stop has come."""
        if not self.stopping:
            self.started.append(subprocess.Popen(command, env=environment))  # noqa: S603 - itself
            if self.stopping and self._reached < len(self.started):
                self.started[-1].terminate()  # the request came amid its start; twice would end it without a checkpoint

    @contextlib.contextmanager
    def handing_on(self) -> Iterator[None]:
        """Send SIGTERM on to all; Ctrl-C on a terminal reaches them without us: we wait for what they make of it."""
        before = {
            number: signal.signal(number, handler)
            for number, handler in ((signal.SIGTERM, self._stop), (signal.SIGINT, lambda *_: None))
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: object) -> None:
        self.stopping, self._reached = True, len(self.started)
        for process in self.started:
            process.terminate()
