"""The data of a run: its examples to train on and to measure with, and the labels they carry.

Standard library only, so that a bad file is told about in seconds, before torch is imported.

Not here: turning examples into tokens (`objectives/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune_trainer.contract import FailureReason, TrainerRun
from finetune_trainer.data.checks import CheckedRows, Wanted, check
from finetune_trainer.data.rows import Example
from finetune_trainer.data.splits import overlap, split
from finetune_trainer.failures import TrainerFailure

LABELLED_TASKS = ("text-classification", "token-classification")

MANY_LABELS = 100
"""More labels than this, in more than half of the rows each its own, is a text column taken for the label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Examples of one task family; `labels` in the order of their ids, empty for language models."""

    training: tuple[Example, ...]
    validation: tuple[Example, ...]
    labels: tuple[str, ...]


def load_data(run: TrainerRun, *, extractive: bool = False) -> Data:
    """Read, check and split the rows of a run, and say in a line or two what was found.

    `extractive`: the model answers by pointing at words of the context.

    Raises:
        TrainerFailure: DataInvalid.
    """
    rows = _checked(run, run.dataset.path, extractive=extractive)
    training, validation = rows.examples, ()
    if run.dataset.validation_path is None:
        training, validation = split(rows.examples, run.dataset.validation_fraction, run.training.seed)
    else:
        validation = _checked(run, run.dataset.validation_path, extractive=extractive).examples
        if shared := overlap(training, validation):
            print(f"warning: {shared} of {len(validation)} held-out rows are in the training data as well")
    training, validation = _all_several(training, validation)
    labels = _labels(training, validation) if run.task in LABELLED_TASKS else ()
    print(f"data: {len(training):,} rows to train on, {len(validation):,} held out, format {rows.format}")
    if labels:
        print(f"labels: {', '.join(labels[:20])}")
    return Data(training=training, validation=validation, labels=labels)


def _checked(run: TrainerRun, path: str, *, extractive: bool) -> CheckedRows:
    wanted = Wanted(
        task=run.task,
        format=run.dataset.format,
        columns=run.dataset.columns,
        max_invalid_rows=run.dataset.max_invalid_rows,
        extractive=extractive,
    )
    rows = check(Path(path), wanted)
    if rows.skipped_count:
        print(f"warning: {rows.skipped_count} invalid rows skipped, the first: {rows.skipped[0]}")
    return rows


def _all_several(*sides: Sequence[Example]) -> list[tuple[Example, ...]]:
    """Where one text has a list of labels, read each single label as a list of one."""
    if not any("labels" in example for side in sides for example in side):
        return [tuple(side) for side in sides]
    return [
        tuple({"text": each["text"], "labels": each.get("labels", [each.get("label")])} for each in side)
        for side in sides
    ]


def _labels_of(example: Example) -> Sequence[str]:
    found: Sequence[str] = example["tags"] if "tags" in example else example.get("labels") or []
    return (example["label"],) if "label" in example else found


def _labels(training: Sequence[Example], validation: Sequence[Example]) -> tuple[str, ...]:
    labels = sorted({label for example in training for label in _labels_of(example)})
    if len(labels) < 2:  # noqa: PLR2004
        raise _invalid(f"all rows have the label {labels[0] if labels else '(none)'!r}; there is nothing to tell apart")
    if len(labels) > max(MANY_LABELS, len(training) // 2):
        raise _invalid(f"{len(labels)} different labels in {len(training)} rows: is 'label' the right column?")
    unseen = {label for example in validation for label in _labels_of(example)} - set(labels)
    if unseen:
        raise _invalid(f"held-out rows have labels that no training row has: {', '.join(sorted(unseen)[:5])}")
    return tuple(labels)


def _invalid(message: str) -> TrainerFailure:
    return TrainerFailure(FailureReason.DATA_INVALID, message)
