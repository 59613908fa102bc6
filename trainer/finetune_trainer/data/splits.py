"""The split into rows to train on and rows to measure with, without a text being on both sides.

Which side a row falls on depends on its content and the seed only, so that a restart measures with the same rows.

Not here: what the rows contain (`formats.py`).
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence

from finetune_trainer.contract import FailureReason
from finetune_trainer.data.rows import Example
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
    return hashlib.sha256(f"{seed}:{' '.join(_asked(example).split()).casefold()}".encode()).digest()


def _asked(example: Example) -> str:
    """Take what is asked of the model, and not the answer: the same question with two answers belongs on one side."""
    if "tokens" in example:
        return " ".join(example["tokens"])
    if "messages" in example:
        before = itertools.takewhile(lambda message: message["role"] != "assistant", example["messages"])
        return "\n".join(message["content"] for message in before)
    return "\n".join(example[part] for part in ("text", "source", "question", "context") if part in example)


def _invalid(message: str) -> TrainerFailure:
    return TrainerFailure(FailureReason.DATA_INVALID, message)
