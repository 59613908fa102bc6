"""The cache: one folder outside the work tree, everything in it keyed by version or content.

Not here: who fills it; ``tools.py`` puts programs there, ``wheels.py`` wheels, ``engine.py`` the engine's data.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent

LOCK_SECONDS = 1800.0
"""How long one command waits for another: as long as everything takes on a slow machine from nothing."""

KEY_LENGTH = 12


def root() -> Path:
    """Return $FINETUNE_CACHE, or the user's cache folder with our name."""
    if named := os.environ.get("FINETUNE_CACHE"):
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "finetune-operator"


def folder(*parts: str) -> Path:
    """Return a folder of the cache, made if it is not there."""
    path = root().joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def key(*texts: str | bytes) -> str:
    """Return a short hash over texts; each is framed by its length, so ("ab", "c") is not ("a", "bc")."""
    digest = hashlib.sha256()
    for text in texts:
        raw = text.encode() if isinstance(text, str) else text
        digest.update(f"{len(raw)}:".encode() + raw)
    return digest.hexdigest()[:KEY_LENGTH]


def key_of_files(paths: Iterable[Path], *also: str) -> str:
    """Return a short hash over files, their names and whatever else shaped the result."""
    parts: list[str | bytes] = list(also)
    for path in sorted(paths):
        parts += [path.name, path.read_bytes()]
    return key(*parts)


def key_of_tree(top: Path, *also: str) -> str:
    """Return a short hash over a folder's files with their places and modes, but not their times."""
    parts: list[str | bytes] = list(also)
    for path in source_files(top):
        executable = "x" if path.stat().st_mode & 0o100 else "-"
        parts += [str(path.relative_to(top)), executable, path.read_bytes()]
    return key(*parts)


def source_files(top: Path) -> list[Path]:
    """Return a folder's files in a fixed order, without what running Python leaves there."""
    return sorted(p for p in top.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def source_lines(path: Path) -> str:
    """Return a requirements file without its comments, which say where a pin came from and change for nothing."""
    kept = (line.rstrip() for line in path.read_text().splitlines())
    return "\n".join(line for line in kept if line and not line.lstrip().startswith("#"))


@contextmanager
def lock(say_waiting: str, say: object = None) -> Iterator[None]:
    """Hold the cache alone: two commands at once would build the same things twice into the same places.

    Raises:
        TimeoutError: another command has held it for LOCK_SECONDS.
    """
    path = folder() / "lock"
    with path.open("w") as handle:
        deadline = time.monotonic() + LOCK_SECONDS
        waiting = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"another command has held {path} for {LOCK_SECONDS:.0f} s") from None
                if not waiting and callable(say):
                    say(say_waiting)
                waiting = True
                time.sleep(0.5)
        yield
