"""Files of a data set: found on disk, opened, and read as numbered rows, one at a time.

A row that cannot be read is a value (`BadRow`), because the run may tolerate some of them.

Not here: what a row must contain (`formats.py`), how many bad ones are too many (`checks.py`).
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from finetune_trainer.contract import FailureReason
from finetune_trainer.data.rows import Kind
from finetune_trainer.process.failures import TrainerFailure

PARQUET = ".parquet"
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", PARQUET)
UTF8_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
SAVE_AS_UTF8 = "save the file as UTF-8"
SURROGATE = re.compile("[\udc80-\udcff]")
MAX_FIELD_BYTES = 16 * 1024 * 1024
"""Longest CSV field; the csv module's own limit of 128 KiB is less than a long document."""

MAX_ROW_BYTES = 64 * 1024 * 1024
"""Longest row of JSON; a file without line breaks would else be one row as large as the file."""

ARRAY_BLOCK = 1024 * 1024
"""Characters of a JSON array that are read at a time."""

SPACE = re.compile(r"[ \t\r\n]*")

PARQUET_ROWS = 1024
"""Rows of a Parquet file that are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as its file has it; `number` is the line it starts on (its place, in a JSON array or Parquet)."""

    file: str
    number: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is wrong, and what is wrong with it."""

    file: str
    number: int
    problem: str
    kind: Kind = Kind.UNREADABLE

    def __str__(self) -> str:
        return f"{self.file} row {self.number}: {self.problem}"


def find_files(path: Path) -> tuple[Path, ...]:
    """List the files of a data set: the path itself, or all files in that folder and below that we can read.

    Raises:
        TrainerFailure: nothing there, or nothing readable; names what is there instead.
    """
    if path.is_file():
        if not is_readable(path):
            raise _invalid(f"{path.name} is not one of {', '.join(SUFFIXES)} (each may end in .gz)")
        return (path,)
    if not path.is_dir():
        raise _invalid(f"no data set at {path}: {_neighbours(path)}")
    inside = sorted(file for file in path.rglob("*") if not _is_hidden(file.relative_to(path)) and file.is_file())
    files = tuple(file for file in inside if is_readable(file))
    if not files:
        names = ", ".join(file.name for file in inside[:10]) or "nothing"
        raise _invalid(f"no {', '.join(SUFFIXES)} file in {path}; it holds {names}")
    return files


def read_rows(path: Path) -> Iterator[Row | BadRow]:
    """Read one file, row by row, never all of it in memory."""
    kind = _kind(path)
    try:
        with _open(path) as stream:
            if kind == PARQUET:
                yield from _read_parquet(path.name, stream)
            elif kind in (".csv", ".tsv"):
                yield from _read_table(path.name, stream, "\t" if kind == ".tsv" else ",")
            elif kind == ".json" and _starts_array(stream):
                yield from _read_array(path.name, stream)
            else:
                yield from _read_lines(path.name, stream)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _invalid(f"{path.name}: damaged gzip file: {error}") from error
    except PermissionError as error:
        raise _invalid(f"{path.name}: not readable for user of this pod: {error.strerror}") from error


def _read_lines(name: str, stream: BinaryIO) -> Iterator[Row | BadRow]:
    for number, line in enumerate(iter(lambda: stream.readline(MAX_ROW_BYTES), b""), start=1):
        if len(line) == MAX_ROW_BYTES:
            raise _invalid(f"{name} row {number} is longer than {MAX_ROW_BYTES:,} bytes; put each row on a line")
        try:
            text = _without_mark(line, number).decode("utf-8").rstrip()
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            yield BadRow(name, number, f"not UTF-8: byte 0x{byte:02x} at column {error.start + 1}; {SAVE_AS_UTF8}")
            continue
        if text:
            yield _row_of_json(name, number, text)


def _row_of_json(name: str, number: int, text: str) -> Row | BadRow:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return BadRow(name, number, f"not valid JSON: {error.msg} at column {error.colno}")
    except RecursionError:
        return BadRow(name, number, "not valid JSON: nested too deeply")
    if not isinstance(value, dict):
        return BadRow(name, number, f"a row must be a JSON object, this is {_json_type(value)}", Kind.WRONG_TYPE)
    return Row(name, number, value)


def _read_array(name: str, stream: BinaryIO) -> Iterator[Row | BadRow]:
    values = _array_values(codecs.getreader("utf-8-sig")(stream))
    for number in itertools.count(1):
        try:
            value = next(values)
        except StopIteration:
            return
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise _invalid(f"{name} row {number} or near: not UTF-8: byte 0x{byte:02x}; {SAVE_AS_UTF8}") from error
        except (json.JSONDecodeError, RecursionError) as error:
            message = getattr(error, "msg", "nested too deeply")
            raise _invalid(f"{name} row {number}: not valid JSON: {message}") from error
        if isinstance(value, dict):
            yield Row(name, number, value)
        else:
            problem = f"a row must be a JSON object, this is {_json_type(value)}"
            yield BadRow(name, number, problem, Kind.WRONG_TYPE)


def _array_values(stream: codecs.StreamReader) -> Iterator[object]:
    """Take the values out of an array one after the other; only the text of the next ones is in memory.

    Raises:
        json.JSONDecodeError: not an array of JSON.
    """
    decode = json.JSONDecoder().raw_decode
    text = stream.read(ARRAY_BLOCK)
    place = text.index("[") + 1
    if text[place:].lstrip()[:1] == "]":
        return
    while True:
        try:
            value, end = decode(text, _after_space(text, place))
            end = _after_space(text, end)
            delimiter = text[end]
        except (json.JSONDecodeError, IndexError) as error:
            # Not all of the value is there yet, or it is broken: more text tells, twice as much each time.
            block = stream.read(max(ARRAY_BLOCK, len(text))) if len(text) < MAX_ROW_BYTES else ""
            if not block:
                raise error if isinstance(error, ValueError) else _broken("Expecting ',' or ']'") from None
            text, place = text[place:] + block, 0
            continue
        yield value
        if delimiter == "]":
            return
        if delimiter != ",":
            raise _broken("Expecting ',' or ']'")
        place = end + 1


def _after_space(text: str, place: int) -> int:
    found = SPACE.match(text, place)
    return found.end() if found else place


def _broken(problem: str) -> json.JSONDecodeError:
    return json.JSONDecodeError(problem, "", 0)


def _read_parquet(name: str, stream: BinaryIO) -> Iterator[Row]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        numbers = itertools.count(1)
        for batch in ParquetFile(stream).iter_batches(PARQUET_ROWS):
            yield from (Row(name, next(numbers), fields) for fields in batch.to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise _invalid(f"{name}: damaged Parquet file: {str(error).splitlines()[0][:200]}") from error


def _read_table(name: str, stream: BinaryIO, delimiter: str) -> Iterator[Row | BadRow]:
    csv.field_size_limit(MAX_FIELD_BYTES)
    # Bytes that are not UTF-8 become lone surrogates: found again in their row, they cannot stop the reader midway.
    lines = (
        _without_mark(line, number).decode("utf-8", "surrogateescape") for number, line in enumerate(stream, start=1)
    )
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise _invalid(f"{name} row 1: the header is not readable: {error}") from error
    if len(set(header)) != len(header):
        raise _invalid(f"{name} row 1: the header names a column twice: {', '.join(header)}")
    while True:
        number = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow(name, number, f"not valid CSV: {error}")
            continue
        if fields:
            yield _row_of_table(Row(name, number, {}), header, fields)


def _row_of_table(place: Row, header: list[str], fields: list[str]) -> Row | BadRow:
    if len(fields) != len(header):
        return BadRow(place.file, place.number, f"{len(fields)} fields, the header names {len(header)}")
    for column, text in zip(header, fields, strict=True):
        if escaped := SURROGATE.search(text):
            byte = ord(escaped.group()) - 0xDC00
            problem = f"not UTF-8: byte 0x{byte:02x} in column {column!r}; {SAVE_AS_UTF8}"
            return BadRow(place.file, place.number, problem)
    return Row(place.file, place.number, dict(zip(header, fields, strict=True)))


def _without_mark(line: bytes, number: int) -> bytes:
    if number > 1:
        return line
    if line.startswith(UTF16_MARKS):
        raise _invalid(f"row 1: not UTF-8 but UTF-16; {SAVE_AS_UTF8}")
    return line.removeprefix(UTF8_MARK)


def _open(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path, "rb"))  # type: ignore[arg-type]
    return path.open("rb")


def _starts_array(stream: BinaryIO) -> bool:
    start = stream.peek(4096)[:4096]  # type: ignore[attr-defined]
    return bool(start.removeprefix(UTF8_MARK).lstrip()[:1] == b"[")


def _kind(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix == ".gz" else path.suffix.lower()


def _is_hidden(path: Path) -> bool:
    """Tell names that are Kubernetes' own (`..data`) or an editor's."""
    return any(part.startswith(".") for part in path.parts)


def is_readable(path: Path) -> bool:
    """Tell by a file's name whether it can hold rows."""
    return _kind(path) in SUFFIXES


def _json_type(value: object) -> str:
    names: dict[type, str] = {list: "an array", str: "a string", int: "a number", float: "a number", bool: "a boolean"}
    return names.get(type(value), "null")


def _neighbours(path: Path) -> str:
    """Say what lies where the path points, since a mistyped name is the usual cause."""
    parent = path.parent
    while not parent.is_dir():
        parent = parent.parent
    names = ", ".join(sorted(each.name for each in parent.iterdir() if not each.name.startswith("."))[:10])
    return f"{parent} holds {names or 'nothing'}"


def _invalid(message: str) -> TrainerFailure:
    return TrainerFailure(FailureReason.DATA_INVALID, message)
