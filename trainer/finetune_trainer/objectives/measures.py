"""Which metrics a run measures on held-out rows, by the names of the API, and how they come into an evaluation.

Not here: computing one (`scores.py`, and each objective).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from finetune_trainer.contract import FailureReason, TrainerRun
from finetune_trainer.process.failures import TrainerFailure

LOSS = "loss"
LOWER_IS_BETTER = frozenset({LOSS, "perplexity"})
OF_TEXTS = ("exact-match", "f1", "bleu", "chrf", "rouge-l")
"""Metrics that compare a text with the true one."""

USUAL: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "classify": {"": ("accuracy", "f1", LOSS)},
    "tag": {"": ("f1", "precision", "recall", "accuracy", LOSS)},
    "point": {"": ("exact-match", "f1", LOSS)},
    "rewrite": {"": ("chrf", "bleu", LOSS), "question-answering": ("exact-match", "f1", LOSS)},
    "sft": {
        "": (LOSS, "perplexity"),
        "question-answering": (LOSS, "perplexity", "exact-match", "f1"),
        "translation": (LOSS, "perplexity", "chrf", "bleu"),
    },
    "prefer": {"": ("reward-accuracy", "reward-margin", LOSS)},
}
"""What is measured unless something else is asked for, by objective and task (`""`: any other)."""

OFFERED: Mapping[str, tuple[str, ...]] = {
    "classify": ("accuracy", "f1", "precision", "recall", LOSS),
    "tag": ("f1", "precision", "recall", "accuracy", LOSS),
    "point": (*OF_TEXTS, LOSS),
    "rewrite": (*OF_TEXTS, "perplexity", LOSS),
    "sft": (*OF_TEXTS, "perplexity", "accuracy", LOSS),
    "prefer": ("reward-accuracy", "reward-margin", LOSS),
}
"""What an objective can measure."""

ORDER = ("accuracy", "reward-accuracy", "reward-margin", *OF_TEXTS, "precision", "recall", "perplexity", LOSS)

NOT_WRITTEN = frozenset({"perplexity", "accuracy", LOSS})
"""What needs no generated text."""

DIGITS = {"perplexity": 3}
LARGEST_EXPONENT = 80.0
"""A loss beyond this would overflow the perplexity, which says nothing any more by then."""


def chosen(run: TrainerRun, objective: str) -> tuple[str, ...]:
    """Return what to measure: what was asked for, else the usual; the loss always.

    Raises:
        TrainerFailure: InvalidRun, for what this objective cannot measure.
    """
    asked = run.evaluation.metrics or USUAL[objective].get(run.task, USUAL[objective][""])
    wanted = dict.fromkeys((*asked, *([run.evaluation.best] if run.evaluation.best else []), LOSS))
    offered = [
        name for name in OFFERED[objective] if run.task != "causal-lm" or objective != "sft" or name in NOT_WRITTEN
    ]
    for name in wanted:
        if name not in offered:
            message = (
                f"evaluation.metrics: {name} cannot be measured of {run.task} with {run.model.name}; "
                f"take of {', '.join(offered)}"
            )
            raise TrainerFailure(FailureReason.INVALID_RUN, message)
    return tuple(wanted)


def named(raw: Mapping[str, float]) -> dict[str, float]:
    """Pick the metrics out of what the library's evaluation returns."""
    return {name: round(raw[f"eval_{name}"], DIGITS.get(name, 4)) for name in ORDER if f"eval_{name}" in raw}


def only(wanted: Sequence[str], found: Mapping[str, float]) -> dict[str, float]:
    """Keep what is wanted."""
    return {name: value for name, value in found.items() if name in wanted}


def perplexity(loss: float) -> float:
    """Turn a loss into the number of words between which the model is undecided."""
    return math.exp(min(loss, LARGEST_EXPONENT))


class MeasuresMore:
    """Mixed into a library's trainer: `more` adds metrics to each evaluation, before anybody looks at them."""

    def evaluation_loop(self, *arguments: Any, metric_key_prefix: str = "eval", **more: Any) -> Any:
        """Measure what the library does, and then the rest."""
        output = super().evaluation_loop(  # type: ignore[misc]
            *arguments, metric_key_prefix=metric_key_prefix, **more
        )
        found = self.more(output.metrics[f"{metric_key_prefix}_loss"])
        output.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in found.items()})
        return output

    def more(self, loss: float) -> dict[str, float]:
        """Return further metrics by name, given the loss."""
        raise NotImplementedError


class MeansOverRows:
    """Mixed into a library's trainer: the loss of an evaluation is a mean over all that is supervised in its rows.

        loss = losses of what is supervised in all rows, summed / how much that is

    The library takes a mean within each batch and then one of these means. That depends on which rows meet in a batch;
    and of several processes, it counts twice the rows that fill up the last batches.
    """

    means: Sequence[float]
    """What the newest evaluation found: the loss, and after it what else was noted."""

    def evaluation_loop(self, dataloader: Any, *arguments: Any, metric_key_prefix: str = "eval", **more: Any) -> Any:
        """Measure what the library does, and put the loss right."""
        import torch

        self._sums: list[Any] = []
        output = super().evaluation_loop(  # type: ignore[misc]
            dataloader, *arguments, metric_key_prefix=metric_key_prefix, **more
        )
        rows = torch.cat(self._sums)[: len(dataloader.dataset)]  # those that fill up the last batches come last
        count, *sums = rows.sum(0).tolist()
        self.means = [each / max(1.0, count) for each in sums]
        output.metrics[f"{metric_key_prefix}_loss"] = self.means[0]
        return output

    def note(self, *of_rows: Any) -> None:
        """Keep what a batch holds, those of all processes: how much of each row is supervised, its loss, and more.

        Each is of shape (rows,), a sum over the row.
        """
        import torch

        self._sums.append(self.accelerator.gather(torch.stack(of_rows, -1)))  # type: ignore[attr-defined]


class MeansOverTokens(MeansOverRows):
    """Mixed into a library's trainer of texts: tokens are what is supervised."""

    def prediction_step(self, model: Any, *arguments: Any, **more: Any) -> Any:
        """Note the sums of each row, before the library makes a mean of the batch."""
        import torch

        def noted(**given: Any) -> Any:
            outputs = model(**given)
            self.note(*(each.sum(-1, dtype=torch.float64) for each in self.of_tokens(outputs, given["labels"])))
            return outputs

        return super().prediction_step(noted, *arguments, **more)  # type: ignore[misc]

    def of_tokens(self, outputs: Any, labels: Any) -> tuple[Any, ...]:
        """Return which tokens of each row are supervised, their losses and what else is averaged, 0 for others."""
        raise NotImplementedError
