"""The index of a data set: what is remembered of each good row once it was read, a few bytes however long it is.

Not here: what it is compared for (`splits.py`, `labels.py`).
"""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from finetune_trainer.contract import FailureReason
from finetune_trainer.data.rows import Example
from finetune_trainer.process.failures import TrainerFailure

HASH_BYTES = 8
"""Of ten million rows, two different ones share a hash of this length once in 400,000 data sets."""

MOST_LABELS = 100_000
"""More different labels than this are no labels; keeping them all would need memory without bound."""


class RowIndex:
    """Two hashes of each row (what it asks, and all of it, both without regard to white space) and its labels."""

    def __init__(self, seed: int, *, labelled: bool) -> None:
        self._seed = seed
        self._labelled = labelled
        self._asked = array("Q")
        self._whole = array("Q")
        self._labels = array("I")
        self._labels_of_row = array("I")
        self._names: dict[str, int] = {}
        self._content = hashlib.sha256()

    def __len__(self) -> int:
        return len(self._asked)

    def add(self, example: Example) -> None:
        """Remember a row.

        Raises:
            TrainerFailure: DataInvalid, when there are so many labels that they cannot be any.
        """
        parts = list(_parts(example))
        self._content.update("\0".join((*parts, "")).encode("utf-8", "surrogatepass"))
        self._asked.append(_hash(f"{self._seed}:{_spaced(asked(example)).casefold()}"))
        self._whole.append(_hash("\0".join(map(_spaced, parts))))
        labels = set(labels_of(example)) if self._labelled else ()
        self._labels_of_row.append(len(labels))
        self._labels.extend(self._names.setdefault(label, len(self._names)) for label in labels)
        if len(self._names) > MOST_LABELS:
            message = f"more than {MOST_LABELS:,} different labels: is 'label' the right column?"
            raise TrainerFailure(FailureReason.DATA_INVALID, message)

    @property
    def asked(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Give the hash of each row's question; rows that ask the same belong on the same side."""
        return np.frombuffer(self._asked, dtype=np.uint64) if self._asked else np.zeros(0, np.uint64)

    @property
    def whole(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Give the hash of each row; equal ones are copies."""
        return np.frombuffer(self._whole, dtype=np.uint64) if self._whole else np.zeros(0, np.uint64)

    @property
    def digest(self) -> str:
        """Give the sha256 of all rows in their order, in hexadecimal."""
        return self._content.hexdigest()

    def label_rows(self, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, int]:
        """Count the rows that carry each label, among the chosen ones."""
        counts = np.bincount(self._flat_labels()[self._of_rows(chosen)], minlength=len(self._names))
        return {name: int(counts[number]) for name, number in self._names.items() if counts[number]}

    def carrying(self, labels: set[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Mark the rows that carry one of the labels."""
        wanted = np.isin(self._flat_labels(), [self._names[label] for label in labels])
        rows = np.repeat(np.arange(len(self)), np.asarray(self._labels_of_row, dtype=np.int64))
        return np.bincount(rows[wanted], minlength=len(self)).astype(bool)

    def _flat_labels(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.asarray(self._labels, dtype=np.int64)

    def _of_rows(self, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.repeat(chosen, np.asarray(self._labels_of_row, dtype=np.int64))


def asked(example: Example) -> str:
    """Take what is asked of the model, and not the answer: the same question with two answers belongs on one side."""
    if "tokens" in example:
        return " ".join(example["tokens"])
    if "messages" in example:
        before = itertools.takewhile(lambda message: message["role"] != "assistant", example["messages"])
        return "\n".join(message["content"] for message in before)
    return "\n".join(example[part] for part in ("text", "source", "question", "context") if part in example)


def labels_of(example: Example) -> Sequence[str]:
    """List the labels or tags that a row carries."""
    if "tags" in example:
        return example["tags"]
    return (example["label"],) if "label" in example else example.get("labels", ())


def _parts(example: Example) -> Iterator[str]:
    for value in example.values():
        if isinstance(value, list):
            for each in value:
                yield from (each,) if isinstance(each, str) else each.values()
        else:
            yield value if isinstance(value, str) else str(value)


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:HASH_BYTES], "big")
