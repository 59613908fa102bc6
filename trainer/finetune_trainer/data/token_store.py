"""Tokenized rows on disk: one Arrow file a side, mapped into memory when it is read, and known by what made it.

A file is complete or not there, and one whose bytes are not those that were written is made again.

Not here: what goes into a file and what it is known by (`prepared.py`).
"""

from __future__ import annotations

import bisect
import fcntl
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Row = dict[str, Any]

ROWS_AT_A_TIME = 1000
HASH_BLOCK = 1024 * 1024


class TokenRows(Sequence[Row]):
    """The rows of a file, or some columns of them; only those that are looked at come into memory."""

    def __init__(self, file: Path, columns: tuple[str, ...] | None = None) -> None:
        self.file = file
        with pa.memory_map(str(file)) as source:
            table = pa.ipc.open_stream(source).read_all()
        self._batches = (table.select(columns) if columns else table).to_batches()
        self._ends = list(itertools.accumulate(batch.num_rows for batch in self._batches))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        place = bisect.bisect_right(self._ends, number)
        begin = self._ends[place - 1] if place else 0
        return self._batches[place].slice(number - begin, 1).to_pylist()[0]

    def without(self, column: str) -> TokenRows:
        """Give the same rows without a column."""
        return TokenRows(self.file, tuple(name for name in self._batches[0].schema.names if name != column))

    def longest(self, column: str) -> int:
        """Count the elements of the longest list in a column."""
        return max(pc.max(pc.list_value_length(batch.column(column))).as_py() for batch in self._batches)


class TokenStore:
    """A folder of such files; beside each a note of its size, its hash and facts about its rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, key: str) -> tuple[Path, Mapping[str, Any]] | None:
        """Give the file of that key with its facts, if it is there and whole."""
        file = self._folder / f"{key}.arrow"
        try:
            note = json.loads(self._note(key).read_text(encoding="utf-8"))
            is_whole = file.stat().st_size == note["bytes"] and _sha256(file) == note["sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not is_whole:
            print(f"warning: {file.name} is damaged, so the rows are tokenized again")
            return None
        return file, note["facts"]

    def write(self, key: str, batches: Iterable[Sequence[Row]], facts: Mapping[str, Any]) -> Path:
        """Write rows; `facts` is read only when the last of them is there.

        Raises:
            OSError: no space; nothing becomes visible.
        """
        file, partial = self._folder / f"{key}.arrow", self._folder / f".{key}.{os.getpid()}.partial"
        try:
            write_file(partial, batches)
            note = {"bytes": partial.stat().st_size, "sha256": _sha256(partial), "facts": dict(facts)}
            partial.rename(file)
            partial.write_text(json.dumps(note), encoding="utf-8")
            partial.rename(self._note(key))
        finally:
            partial.unlink(missing_ok=True)
        return file

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """Let the processes of one pod make a file one after the other; storage without locks lets them all in."""
        with (self._folder / f".{key}.lock").open("w") as stream:
            with suppress(OSError):
                fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _note(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def batched(rows: Iterable[Any], size: int = ROWS_AT_A_TIME) -> Iterator[list[Any]]:
    """Take rows in lists of up to so many."""
    remaining = iter(rows)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def write_file(file: Path, batches: Iterable[Sequence[Row]], *, narrow: bool = True) -> None:
    """Write rows to a file, at most one batch in memory; numbers in four bytes if they are to be narrow."""
    with file.open("wb") as stream:
        writer = None
        for rows in batches:
            if not rows:
                continue
            table = pa.Table.from_pylist(list(rows))
            if writer is None:
                kinds = [(each.name, _narrow(each.type) if narrow else each.type) for each in table.schema]
                schema = pa.schema(kinds)
                writer = pa.ipc.new_stream(stream, schema)
            writer.write_table(table.select(schema.names).cast(schema))
        if writer is not None:
            writer.close()
        stream.flush()
        os.fsync(stream.fileno())


def _narrow(kind: pa.DataType) -> pa.DataType:
    """Store numbers in four bytes: tokens, places and labels are far from needing eight."""
    if pa.types.is_list(kind):
        return pa.list_(_narrow(kind.value_type))
    if pa.types.is_integer(kind):
        return pa.int32()
    return pa.float32() if pa.types.is_floating(kind) else kind


def _sha256(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(HASH_BLOCK):
            found.update(block)
    return found.hexdigest()
