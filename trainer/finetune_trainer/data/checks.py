"""The check of a data set: every row is read once, and what is wrong is told with its row number.

Rows do not stay in memory: what passed is read again from its files where it is needed.

Not here: how a row is read (`reading.py`) and what it must contain (`formats.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from finetune_trainer.contract import FailureReason
from finetune_trainer.data.formats import Format, choose_format, formats_for, read_example
from finetune_trainer.data.index import RowIndex
from finetune_trainer.data.reading import BadRow, Row, find_files, read_rows
from finetune_trainer.data.rows import Example, Kind, RowProblem
from finetune_trainer.process.failures import TrainerFailure

PROBLEMS_SHOWN = 20
PROBLEMS_BYTES = 900
"""Room for the problems in the failure's message; the termination message must hold more than them."""

ROWS_BETWEEN_LINES = 1_000_000
"""Rows after which the log says how far the check is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the rows are for, as the run says it."""

    task: str
    format: str
    columns: Mapping[str, str]
    max_invalid_rows: int
    seed: int = 0
    labelled: bool = False
    extractive: bool = False
    """Whether an answer must stand in its context, because the model can only point at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problems:
    """The bad rows: the first of them, and how many there are of each kind."""

    first: tuple[BadRow, ...]
    kinds: Mapping[str, int]

    @property
    def count(self) -> int:
        """Sum up the kinds."""
        return sum(self.kinds.values())

    @property
    def summary(self) -> str:
        """Count by kind, the most frequent first."""
        return ", ".join(f"{count:,} {kind}" for kind, count in Counter(self.kinds).most_common())


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRows:
    """A data set that can serve: its good rows, read again from its files each time, and what was passed over."""

    files: tuple[Path, ...]
    wanted: Wanted
    format: Format
    index: RowIndex
    several: bool
    """Whether a row has a list of labels; one label is then a list of one everywhere."""
    problems: Problems

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[Example]:
        for row in _rows(self.files):
            example = _example(row, self.format, self.wanted)
            if not isinstance(example, BadRow):
                yield example


def check(path: Path, wanted: Wanted) -> CheckedRows:
    """Read a data set whole.

    Raises:
        TrainerFailure: it cannot serve the run: DataInvalid, with the first problems and their count.
    """
    formats_for(wanted.task)
    files = find_files(path)
    index, first, kinds = RowIndex(wanted.seed, labelled=wanted.labelled), [], Counter[str]()
    chosen: Format | None = None
    several = False
    for number, row in enumerate(_rows(files), start=1):
        if chosen is None and isinstance(row, Row):
            chosen = _chosen(row, wanted)
        example = _example(row, chosen, wanted) if chosen else row
        if isinstance(example, BadRow):
            kinds[example.kind] += 1
            first += [example] if len(first) < PROBLEMS_SHOWN else []
        else:
            several = several or "labels" in example
            index.add(example)
        if number % ROWS_BETWEEN_LINES == 0:
            print(f"data: {number:,} rows of {path.name} checked, {kinds.total():,} of them invalid")
    problems = Problems(first=tuple(first), kinds=kinds)
    if problems.count > wanted.max_invalid_rows:
        raise _too_many(problems, problems.count + len(index), wanted.max_invalid_rows)
    if not len(index) or chosen is None:
        names = ", ".join(file.name for file in files)
        raise TrainerFailure(FailureReason.DATA_INVALID, f"{names}: no rows; the file is empty")
    return CheckedRows(files=files, wanted=wanted, format=chosen, index=index, several=several, problems=problems)


def _rows(files: tuple[Path, ...]) -> Iterator[Row | BadRow]:
    for file in files:
        yield from read_rows(file)


def _chosen(row: Row, wanted: Wanted) -> Format:
    try:
        return choose_format(wanted.format, wanted.task, row.fields, wanted.columns)
    except TrainerFailure as failure:
        raise TrainerFailure(failure.reason, f"{row.file} row {row.number}: {failure.message}") from None


def _example(row: Row | BadRow, chosen: Format, wanted: Wanted) -> Example | BadRow:
    if isinstance(row, BadRow):
        return row
    try:
        example = read_example(chosen, row.fields, wanted.columns)
        if wanted.extractive:
            _check_answer(example)
    except RowProblem as problem:
        return BadRow(row.file, row.number, str(problem), problem.kind)
    return example


def _check_answer(example: Example) -> None:
    pointing = "this model answers by pointing at words of it"
    if "context" not in example:
        raise RowProblem(Kind.MISSING, f"context is missing; {pointing}")
    if example["start"] < 0:
        raise RowProblem(Kind.DISAGREEING, f"the answer does not stand in the context; {pointing}")


def _too_many(problems: Problems, total: int, tolerated: int) -> TrainerFailure:
    for problem in problems.first:
        print(f"  {problem}")
    shown, size = [], 0
    for problem in problems.first:
        size += len(str(problem).encode()) + 2
        if shown and size > PROBLEMS_BYTES:
            break
        shown.append(str(problem))
    rest = f"; and {problems.count - len(shown):,} more" if problems.count > len(shown) else ""
    head = f"{problems.count} of {total} rows are invalid (spec.dataset.maxInvalidRows allows {tolerated}): "
    kinds = f"{problems.summary}. " if len(problems.kinds) > 1 or rest else ""
    return TrainerFailure(FailureReason.DATA_INVALID, head + kinds + "; ".join(shown) + rest)
