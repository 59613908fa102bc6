"""The split into rows to train on and rows to measure with, without a text being on both sides.

Which side a row falls on depends on its content and the seed only, so that a restart measures with the same rows.

Not here: what the rows contain (`formats.py`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from finetune_trainer.contract import FailureReason
from finetune_trainer.data.formats import Example
from finetune_trainer.failures import TrainerFailure

MIN_ROWS = 10
"""Fewer rows teach nothing and measure nothing."""


def split(examples: Sequence[Example], fraction: float, seed: int) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Hold out about `fraction` of the different questions, with all rows that ask them.

    Raises:
        TrainerFailure: too few rows or too few different ones.
    """
    if len(examples) < MIN_ROWS:
        raise _invalid(f"{len(examples)} usable rows, at least {MIN_ROWS} are needed")
    keys = [_key(example, seed) for example in examples]
    distinct = sorted(set(keys))
    held_out = set(distinct[: math.ceil(len(distinct) * fraction)])
    training = tuple(example for example, key in zip(examples, keys, strict=True) if key not in held_out)
    validation = tuple(example for example, key in zip(examples, keys, strict=True) if key in held_out)
    if not validation:
        raise _invalid(f"spec.dataset.validation.fraction {fraction} of {len(distinct)} rows holds out none")
    if not training:
        raise _invalid(f"only {len(distinct)} different row(s): nothing is left to train on after holding out")
    return training, validation


def overlap(training: Sequence[Example], validation: Sequence[Example]) -> int:
    """Count the held-out rows that ask what a training row asks; measured on them, a model looks too good."""
    known = {_key(example, 0) for example in training}
    return sum(_key(example, 0) in known for example in validation)


def _key(example: Example, seed: int) -> bytes:
    text = example["text"] if "text" in example else _question(example["messages"])
    return hashlib.sha256(f"{seed}:{' '.join(text.split()).casefold()}".encode()).digest()


def _question(messages: Sequence[dict[str, str]]) -> str:
    """Take what stands before the first answer: the same question with two answers belongs on one side."""
    turns = []
    for message in messages:
        if message["role"] == "assistant":
            break
        turns.append(message["content"])
    return "\n".join(turns)


def _invalid(message: str) -> TrainerFailure:
    return TrainerFailure(FailureReason.DATA_INVALID, message)
