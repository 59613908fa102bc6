"""The data of a run: its examples to train on and to measure with, and the labels they carry.

Without torch, so that a bad file is told about in seconds; rows stay on disk, so that memory does not grow with them.

Not here: turning examples into tokens (`objectives/`, kept by `prepared.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finetune_trainer.contract import DatasetFacts, FailureReason, TrainerRun
from finetune_trainer.data import splits
from finetune_trainer.data.checks import CheckedRows, Wanted, check
from finetune_trainer.data.labels import label_set, tell_labels
from finetune_trainer.data.rows import Example
from finetune_trainer.process.failures import TrainerFailure

LABELLED_TASKS = ("text-classification", "token-classification")


class Rows(Collection[Example]):
    """Chosen rows of a data set, read again from its files each time one goes through them."""

    def __init__(self, source: CheckedRows, chosen: splits.Mask, *, several: bool) -> None:
        self._source = source
        self._chosen = chosen
        self._several = several
        self._count = int(chosen.sum())

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Example]:
        try:
            for is_chosen, example in zip(self._chosen.tolist(), self._source, strict=True):
                if is_chosen:
                    yield self._listed(example) if self._several else example
        except ValueError as error:
            names = ", ".join(file.name for file in self._source.files)
            message = f"{names}: the file changed while it was read; write to another one"
            raise TrainerFailure(FailureReason.DATA_INVALID, message) from error

    def __contains__(self, example: object) -> bool:
        return any(each == example for each in self)

    @property
    def digest(self) -> str:
        """Give a sha256 that tells these rows from any others, in hexadecimal."""
        chosen = hashlib.sha256(np.packbits(self._chosen).tobytes()).hexdigest()
        return hashlib.sha256(f"{self._source.index.digest} {chosen} {self._several}".encode()).hexdigest()

    def label_rows(self) -> dict[str, int]:
        """Count the rows that carry each label."""
        return self._source.index.label_rows(self._chosen)

    def tell_copies(self, *, labelled: bool) -> int:
        """Warn of rows that say the same, and of those that contradict each other; the number of copies is returned."""
        index = self._source.index
        if copies := splits.copies(index, self._chosen):
            print(f"warning: {copies:,} of {len(self):,} training rows are copies of others and are learnt repeatedly")
        if labelled and (unclear := splits.contradictions(index, self._chosen)):
            print(f"warning: {unclear:,} texts stand in the training rows with different labels")
        return copies

    @staticmethod
    def _listed(example: Example) -> Example:
        """Read a single label as a list of one, since other rows have lists."""
        return {"text": example["text"], "labels": example.get("labels", [example.get("label")])}


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Examples of one task family; `labels` in the order of their ids, empty for language models."""

    training: Rows
    validation: Rows
    labels: tuple[str, ...]
    facts: DatasetFacts


def load_data(run: TrainerRun, *, extractive: bool = False) -> Data:
    """Read, check and split the rows of a run, and say in a few lines what was found.

    `extractive`: the model answers by pointing at words of the context.

    Raises:
        TrainerFailure: DataInvalid.
    """
    rows = _checked(run, run.dataset.path, extractive=extractive)
    leaked = 0
    if run.dataset.validation_path is None:
        held_out = splits.hold_out(rows.index, run.dataset.validation_fraction)
        training, validation = (Rows(rows, mask, several=rows.several) for mask in (~held_out, held_out))
    else:
        own = _checked(run, run.dataset.validation_path, extractive=extractive)
        kept, several = splits.without_leaks(rows.index, own.index), rows.several or own.several
        training = Rows(rows, kept, several=several)
        validation = Rows(own, np.ones(len(own), bool), several=several)
        leaked = len(rows) - len(training)
    print(f"data: {len(training):,} rows to train on, {len(validation):,} held out, format {rows.format.name}")
    if leaked:
        print(f"warning: {leaked:,} training rows are left out, since the held-out data asks the same")
    labelled = run.task in LABELLED_TASKS
    copies = training.tell_copies(labelled=run.task == LABELLED_TASKS[0])
    facts = DatasetFacts(
        training_rows=len(training),
        held_out_rows=len(validation),
        invalid_rows=rows.problems.count,
        duplicate_rows=copies,
        leaked_rows=leaked,
    )
    return Data(training=training, validation=validation, labels=_labels(training, validation, labelled), facts=facts)


def _checked(run: TrainerRun, path: str, *, extractive: bool) -> CheckedRows:
    wanted = Wanted(
        task=run.task,
        format=run.dataset.format,
        columns=run.dataset.columns,
        max_invalid_rows=run.dataset.max_invalid_rows,
        seed=run.training.seed,
        labelled=run.task in LABELLED_TASKS,
        extractive=extractive,
    )
    rows = check(Path(path), wanted)
    if problems := rows.problems.first:
        summary = rows.problems.summary
        print(f"warning: {rows.problems.count} invalid rows skipped ({summary}), the first: {problems[0]}")
    return rows


def _labels(training: Rows, validation: Rows, labelled: bool) -> tuple[str, ...]:  # noqa: FBT001
    if not labelled:
        return ()
    learnt, measured = training.label_rows(), validation.label_rows()
    labels = label_set(learnt, measured, len(training))
    tell_labels(learnt, measured, len(training))
    return labels
