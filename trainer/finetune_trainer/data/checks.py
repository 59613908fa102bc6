"""The check of a data set: every row is read once, and what is wrong is told with its row number.

Not here: how a row is read (`reading.py`) and what it must contain (`formats.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from finetune_trainer.contract import FailureReason
from finetune_trainer.data.formats import Format, choose_format, formats_for, read_example
from finetune_trainer.data.reading import BadRow, Row, find_files, read_rows
from finetune_trainer.data.rows import Example, RowProblem
from finetune_trainer.failures import TrainerFailure

PROBLEMS_SHOWN = 20
PROBLEMS_BYTES = 900
"""Room for the problems in the failure's message; the termination message must hold more than them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the rows are for, as the run says it."""

    task: str
    format: str
    columns: Mapping[str, str]
    max_invalid_rows: int
    extractive: bool = False
    """Whether an answer must stand in its context, because the model can only point at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRows:
    """The good rows of a data set, and the bad ones that were tolerated."""

    examples: tuple[Example, ...]
    skipped: tuple[BadRow, ...]
    skipped_count: int
    format: str


def check(path: Path, wanted: Wanted) -> CheckedRows:
    """Read a data set whole.

    Raises:
        TrainerFailure: it cannot serve the run: DataInvalid, with the first problems and their count.
    """
    formats_for(wanted.task)
    files = find_files(path)
    good, bad, bad_count = [], [], 0
    chosen: Format | None = None
    for row in _rows(files):
        if isinstance(row, Row):
            chosen = chosen or _chosen(row, wanted)
            row = _example(row, chosen, wanted)  # noqa: PLW2901
        if isinstance(row, BadRow):
            bad_count += 1
            bad += [row] if len(bad) < PROBLEMS_SHOWN else []
        else:
            good.append(row)
    if bad_count > wanted.max_invalid_rows:
        raise _too_many(bad, bad_count, bad_count + len(good), wanted.max_invalid_rows)
    if not good or chosen is None:
        names = ", ".join(file.name for file in files)
        raise TrainerFailure(FailureReason.DATA_INVALID, f"{names}: no rows; the file is empty")
    return CheckedRows(examples=tuple(good), skipped=tuple(bad), skipped_count=bad_count, format=chosen.name)


def _rows(files: Iterable[Path]) -> Iterator[Row | BadRow]:
    for file in files:
        yield from read_rows(file)


def _chosen(row: Row, wanted: Wanted) -> Format:
    try:
        return choose_format(wanted.format, wanted.task, row.fields, wanted.columns)
    except TrainerFailure as failure:
        raise TrainerFailure(failure.reason, f"{row.file} row {row.number}: {failure.message}") from None


def _example(row: Row, chosen: Format, wanted: Wanted) -> Example | BadRow:
    try:
        example = read_example(chosen, row.fields, wanted.columns)
        if wanted.extractive:
            _check_answer(example)
    except RowProblem as problem:
        return BadRow(row.file, row.number, str(problem))
    return example


def _check_answer(example: Example) -> None:
    if "context" not in example:
        raise RowProblem("context is missing; this model answers by pointing at words of it")
    if example["start"] < 0:
        raise RowProblem("the answer does not stand in the context; this model answers by pointing at words of it")


def _too_many(bad: list[BadRow], count: int, total: int, tolerated: int) -> TrainerFailure:
    for problem in bad:
        print(f"  {problem}")
    shown, size = [], 0
    for problem in bad:
        size += len(str(problem).encode()) + 2
        if shown and size > PROBLEMS_BYTES:
            break
        shown.append(str(problem))
    rest = f"; and {count - len(shown)} more" if count > len(shown) else ""
    head = f"{count} of {total} rows are invalid (spec.dataset.maxInvalidRows allows {tolerated}): "
    return TrainerFailure(FailureReason.DATA_INVALID, head + "; ".join(shown) + rest)
