"""Writing what comes: block by block into a file, with its progress in the log and never more than was announced.

Not here: where the file lies (`store.py`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from finetune_trainer.sources.problems import Invalid

SECONDS_BETWEEN_LINES = 10.0
BLOCK = 1024 * 1024


class Meter:
    """Says in the log every now and then how far a download is."""

    def __init__(self, what: str, total: int | None, done: int = 0) -> None:
        self._what = what
        self._total = total
        self._done = done
        self._said = time.monotonic()

    def add(self, count: int) -> None:
        """Count bytes that came."""
        self._done += count
        if time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            whole = f" of {self._total / 1e6:,.0f}" if self._total else ""
            print(f"fetching {self._what}: {self._done / 1e6:,.0f}{whole} MB")


def write(blocks: Iterable[bytes], file: Path, meter: Meter, *, at: int = 0, limit: int) -> None:
    """Write to a file from a place on; what is there beyond it goes.

    Raises:
        Invalid: more came than `limit` bytes in all.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("r+b" if at else "wb") as stream:
        stream.seek(at)
        stream.truncate()
        for block in blocks:
            at += len(block)
            if at > limit:
                raise Invalid(
                    f"{file.name} is longer than the {limit:,} bytes that there is room for or were announced"
                )
            stream.write(block)
            meter.add(len(block))


def digest(file: Path, algorithm: str = "sha256") -> str:
    """Hash a file block by block."""
    found = hashlib.new(algorithm, usedforsecurity=False)
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def below(folder: Path, name: str) -> Path:
    """Give the place of a file that another side named, inside the folder.

    Raises:
        Invalid: the name leads out of it.
    """
    parts = PurePosixPath(name).parts
    if not parts or any(part in {"/", "..", "\\"} or "\0" in part for part in parts):
        raise Invalid(f"the name {name!r} leads out of the folder")
    return folder.joinpath(*parts)
