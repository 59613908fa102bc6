"""The split into rows to train on and rows to measure with, without a text being on both sides.

Which side a row falls on depends on its content and the seed only, so that a restart measures with the same rows.

Not here: what is remembered of a row (`index.py`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from finetune_trainer.contract import FailureReason
from finetune_trainer.data.index import RowIndex
from finetune_trainer.process.failures import TrainerFailure

MIN_ROWS = 10
"""Fewer rows teach nothing and measure nothing."""

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def hold_out(rows: RowIndex, fraction: float) -> Mask:
    """Mark about `fraction` of the different questions, with all rows that ask them.

    A label that only marked rows would carry is learnt rather than measured: its rows are not marked.

    Raises:
        TrainerFailure: too few rows or too few different ones.
    """
    if len(rows) < MIN_ROWS:
        raise _invalid(f"{len(rows)} usable rows, at least {MIN_ROWS} are needed")
    distinct = np.unique(rows.asked)
    count = math.ceil(len(distinct) * fraction)
    if not count:
        raise _invalid(f"spec.dataset.validation.fraction {fraction} of {len(distinct)} rows holds out none")
    held_out = np.isin(rows.asked, distinct[:count])
    if held_out.all():
        raise _invalid(f"only {len(distinct)} different row(s): nothing is left to train on after holding out")
    held_out &= ~_alone_with_a_label(rows, held_out)
    if not held_out.any():
        raise _invalid("each held-out row has a label that no other row has: is 'label' the right column?")
    return held_out


def without_leaks(training: RowIndex, validation: RowIndex) -> Mask:
    """Mark the training rows that do not ask what a held-out row asks; on the others a model would look too good.

    Raises:
        TrainerFailure: too few would be left: the two are the same data.
    """
    kept = ~np.isin(training.asked, validation.asked)
    if kept.sum() < MIN_ROWS and not kept.all():
        shared = len(kept) - int(kept.sum())
        raise _invalid(
            f"{shared} of {len(kept)} training rows are held-out rows as well, so that {kept.sum()} would be left: "
            "spec.dataset.validation.source needs other rows than spec.dataset.source; or set validation.fraction"
        )
    return kept


def copies(rows: RowIndex, chosen: Mask) -> int:
    """Count the rows that another chosen row says word for word."""
    whole = rows.whole[chosen]
    return len(whole) - len(np.unique(whole))


def contradictions(rows: RowIndex, chosen: Mask) -> int:
    """Count the questions that chosen rows answer in more than one way."""
    both = np.unique(np.stack([rows.asked[chosen], rows.whole[chosen]]), axis=1)
    _questions, answers = np.unique(both[0], return_counts=True)
    return int((answers > 1).sum())


def _alone_with_a_label(rows: RowIndex, held_out: Mask) -> Mask:
    """Mark all rows that ask what a row with a label asks that no row left to train on has."""
    unseen = rows.label_rows(held_out).keys() - rows.label_rows(~held_out).keys()
    return np.isin(rows.asked, rows.asked[rows.carrying(set(unseen))]) if unseen else np.zeros(len(rows), bool)


def _invalid(message: str) -> TrainerFailure:
    return TrainerFailure(FailureReason.DATA_INVALID, message)
