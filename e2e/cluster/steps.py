"""A step: one command that is announced, logged, bounded in time and explained when it fails.

Not here: what the steps are; see ``tools.py``, ``engine.py``, ``node_image.py``, ``kind.py`` and ``images.py``.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cache

QUICK_SECONDS = 30.0
"""Deadline of a question that a healthy machine answers at once."""

LOG_LINES_SHOWN = 15


class Failed(Exception):
    """A step did not work out; the text says what and what to do about it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command with everything a person waiting for it wants to know."""

    title: str
    argv: Sequence[str]
    usually: str
    deadline: float
    hint: str = ""
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """Name the log after the title, so that the newest run of a step is always in one place."""
        words = "".join(c if c.isalnum() else "-" for c in self.title.lower())
        return cache.folder("logs") / f"{words}.log"


def say(text: str) -> None:
    """Tell the person; on stderr, because some verbs print a result that a shell evaluates."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def timed(title: str) -> Iterator[None]:
    """Announce work done in Python itself and say how long it took."""
    start = time.monotonic()
    say(f"-> {title}")
    yield
    say(f"   done in {time.monotonic() - start:.1f} s")


def run(step: Step) -> None:
    """Run a step to its end or its deadline.

    Raises:
        Failed: with the last log lines and the step's hint.
    """
    say(f"-> {step.title} (usually {step.usually}; log {step.log})")
    start = time.monotonic()
    with step.log.open("wb") as log:
        code = _wait(step, log.fileno())
    took = time.monotonic() - start
    if code == 0:
        say(f"   done in {took:.1f} s")
        return
    why = f"not done within {step.deadline:.0f} s" if code is None else f"exit code {code} after {took:.0f} s"
    tail = step.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    lines = [f"{step.title}: {why}", *(f"   | {line}" for line in tail), f"   whole log: {step.log}"]
    raise Failed("\n".join([*lines, step.hint] if step.hint else lines))


def _wait(step: Step, log: int) -> int | None:
    """Return the exit code, or None when the deadline passed and the step's process group was ended."""
    try:
        child = subprocess.Popen(
            step.argv,
            cwd=step.cwd,
            env={**os.environ, **step.env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except FileNotFoundError as missing:
        raise Failed(f"{step.title}: {missing.filename} is not installed. {step.hint}") from missing
    try:
        return child.wait(step.deadline)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def ask(argv: Sequence[str], *, env: Mapping[str, str] | None = None, within: float = QUICK_SECONDS) -> str | None:
    """Return what a command prints, or None when it is missing, fails or is too slow."""
    try:
        done = subprocess.run(
            argv,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def demand(argv: Sequence[str], *, env: Mapping[str, str] | None = None, within: float = QUICK_SECONDS) -> str:
    """Return what a command prints; for questions whose failure has no way around.

    Raises:
        Failed: with the command's own words.
    """
    try:
        done = subprocess.run(
            argv,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
    except FileNotFoundError as missing:
        raise Failed(f"{argv[0]} is not installed") from missing
    except subprocess.TimeoutExpired as slow:
        raise Failed(f"no answer within {within:.0f} s: {' '.join(argv)}") from slow
    if done.returncode:
        raise Failed(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def need(program: str, how: str) -> str:
    """Return a program's path, or end with the one line that says how to get it."""
    found = shutil.which(program)
    if not found:
        raise Failed(f"{program} is missing: {how}")
    return found
