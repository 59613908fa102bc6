"""Text classification: one label per text, or all of those that fit; measured by accuracy and macro F1.

Not here: which labels there are (`data/load.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from finetune_trainer.data.rows import Example
from finetune_trainer.objectives.arguments import Ingredients, arguments, by_length, make_arguments, tell_cut
from finetune_trainer.objectives.scores import ratios


def build(ingredients: Ingredients) -> Trainer:
    """Tokenize the rows and make the trainer; batches are padded to their own longest row only."""
    run, data = ingredients.run, ingredients.data
    length = run.training.sequence_length
    rows = _tokenized(data.training, ingredients.tokenizer, data.labels, length)
    tell_cut(sum(len(row["input_ids"]) >= length for row in rows), len(rows), length)
    return Trainer(
        model=ingredients.model,
        args=make_arguments(TrainingArguments, arguments(run)),
        train_dataset=rows,
        eval_dataset=_tokenized(by_length(data.validation), ingredients.tokenizer, data.labels, length),
        data_collator=DataCollatorWithPadding(ingredients.tokenizer),
        processing_class=ingredients.tokenizer,
        compute_metrics=_measure,
    )


def metrics(raw: Mapping[str, float]) -> dict[str, float]:
    """Name the evaluation's numbers as the report does."""
    return {name: round(raw[f"eval_{name}"], 4) for name in ("accuracy", "f1", "loss")}


def _tokenized(examples: Sequence[Example], tokenizer: Any, labels: Sequence[str], length: int) -> Any:
    encoded = tokenizer([example["text"] for example in examples], truncation=True, max_length=length)
    return [
        {**{column: values[row] for column, values in encoded.items()}, "labels": _target(example, labels)}
        for row, example in enumerate(examples)
    ]


def _target(example: Example, labels: Sequence[str]) -> int | list[float]:
    """Number the label; of several, say for each whether the text has it, in the floats that select that loss."""
    if "labels" in example:
        return [float(label in example["labels"]) for label in labels]
    return labels.index(example["label"])


def _measure(prediction: Any) -> dict[str, float]:
    scores = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
    truth = prediction.label_ids
    if truth.ndim > 1:
        chosen, truth = scores > 0, truth > 0
        return {"accuracy": float((chosen == truth).all(-1).mean()), "f1": _macro_f1(chosen.T, truth.T)}
    present = sorted({*(chosen := scores.argmax(-1)).tolist(), *truth.tolist()})
    by_label = [[side == label for label in present] for side in (chosen, truth)]
    return {"accuracy": float((chosen == truth).mean()), "f1": _macro_f1(*by_label)}


def _macro_f1(chosen: Sequence[Any], truth: Sequence[Any]) -> float:
    pairs = zip(chosen, truth, strict=True)
    return float(
        np.mean([ratios(int((one & other).sum()), int(one.sum()), int(other.sum()))["f1"] for one, other in pairs])
    )
