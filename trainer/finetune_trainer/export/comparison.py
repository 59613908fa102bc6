"""What two models answer on the same held-out rows, and how far apart their logits are.

Not here: how good the answers are (`objectives/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from finetune_trainer.objectives.batches import Batch, inputs, writes

LANGUAGE_ROWS, ROWS = 4, 16
TOKENS = 64
"""Held-out rows that are compared, and of a language model's the first tokens only: its logits are as wide as its
vocabulary. 4 rows of 64 tokens are 131 MB with 128,000 words."""

Answers = list[np.ndarray[Any, Any]]
"""Logits of each row, one line for each place that a model decides about; padding is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far apart: the largest difference between two logits, the largest logit, and the share of equal choices."""

    largest: float
    scale: float
    same_choice: float

    @property
    def relative(self) -> float:
        """Give the difference as a part of the largest logit, which is counted as 1 at least."""
        return self.largest / max(1.0, self.scale)

    def __str__(self) -> str:
        return f"largest logit difference {self.largest:.2g}, {self.same_choice:.1%} of choices equal"


def held_out(trainer: Any) -> list[Batch]:
    """Take rows spread over the held-out ones, as the model reads them, each a batch of its own without padding."""
    rows = trainer.eval_dataset
    wanted, most = (LANGUAGE_ROWS, TOKENS) if writes(trainer.model) else (ROWS, None)
    chosen = sorted({round(each) for each in np.linspace(0, len(rows) - 1, wanted)})
    return [inputs(rows[number], trainer.model, most) for number in chosen]


@torch.no_grad()
def answers(model: Any, batches: Sequence[Batch]) -> Answers:
    """Ask a torch model for its logits, row by row."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    found = []
    for batch in batches:
        output = model(**{name: values.to(device) for name, values in batch.items()})
        found.append(flat([each.float().cpu().numpy() for each in logits_of(output)]))
    model.train(was_training)
    return found


def logits_of(output: Any) -> tuple[Any, ...]:
    """Pick a model's logits: one tensor, or the two that mark an answer's start and end."""
    return (output.start_logits, output.end_logits) if "start_logits" in output else (output.logits,)


def flat(logits: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Bring the logits of one row into lines: of places by words, or of start and end by places."""
    return np.concatenate([each.reshape(-1, each.shape[-1]) for each in logits])


def difference(expected: Answers, found: Answers) -> Difference:
    """Compare two models' answers to the same rows."""
    pairs = list(zip(expected, found, strict=True))
    return Difference(
        largest=max(float(np.abs(one - other).max()) for one, other in pairs),
        scale=max(float(np.abs(one).max()) for one in expected),
        same_choice=float(np.mean(np.concatenate([one.argmax(-1) == other.argmax(-1) for one, other in pairs]))),
    )
