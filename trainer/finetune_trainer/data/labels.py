"""The labels of a data set: which there are, and what is odd about how often they occur.

Not here: which label a row carries (`index.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from finetune_trainer.contract import FailureReason
from finetune_trainer.process.failures import TrainerFailure

MANY_LABELS = 100
"""More labels than this, in more than half of the rows each its own, is a text column taken for the label."""

IMBALANCE = 0.9
"""A label in a larger share of the rows than this is what a model answers that has learnt nothing."""

NO_NAME = "O"
"""The tag of words that belong to no name; most words do."""

SHOWN = 20


def label_set(training: Mapping[str, int], validation: Mapping[str, int], rows: int) -> tuple[str, ...]:
    """Give the labels in the order of their ids; both arguments count rows by label, `rows` are those to train on.

    Raises:
        TrainerFailure: DataInvalid, when there is nothing to tell apart or the labels are none.
    """
    if len(training) < 2:  # noqa: PLR2004
        raise _invalid(f"all rows have the label {next(iter(training), '(none)')!r}; there is nothing to tell apart")
    if len(training) > max(MANY_LABELS, rows // 2):
        raise _invalid(f"{len(training)} different labels in {rows} rows: is 'label' the right column?")
    return tuple(sorted({*training, *validation}))


def tell_labels(training: Mapping[str, int], validation: Mapping[str, int], rows: int) -> None:
    """Say which labels there are, and warn of what a good score would hide."""
    often = Counter(training)
    print(f"labels of {rows:,} training rows: {_counted(often)}")
    label, most = often.most_common(1)[0]
    if label != NO_NAME and most > IMBALANCE * rows:
        print(
            f"warning: {most:,} of {rows:,} training rows ({most / rows:.0%}) have the label {label!r}: a model that "
            "always answers it looks good by accuracy. Look at f1, or balance the rows"
        )
    unseen = Counter({label: count for label, count in validation.items() if label not in training})
    if unseen:
        print(
            f"warning: {unseen.total():,} held-out rows have labels that no training row has ({_counted(unseen)}): a "
            "model cannot learn them and is counted wrong there. Is the label spelt differently?"
        )


def _counted(labels: Counter[str]) -> str:
    rest = f" and {len(labels) - SHOWN:,} more" if len(labels) > SHOWN else ""
    return ", ".join(f"{label} {count:,}" for label, count in labels.most_common(SHOWN)) + rest


def _invalid(message: str) -> TrainerFailure:
    return TrainerFailure(FailureReason.DATA_INVALID, message)
