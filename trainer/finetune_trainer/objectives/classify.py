"""Text classification: one label per text, measured by accuracy and macro F1.

Not here: which labels there are (`data/load.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from finetune_trainer.data.formats import Example
from finetune_trainer.objectives.arguments import Ingredients, arguments, make_arguments


def build(ingredients: Ingredients) -> Trainer:
    """Tokenize the rows and make the trainer; batches are padded to their own longest row only."""
    run, data = ingredients.run, ingredients.data
    ids = {label: number for number, label in enumerate(data.labels)}
    length = run.training.sequence_length
    held_out = sorted(data.validation, key=lambda example: len(example["text"]))
    return Trainer(
        model=ingredients.model,
        args=make_arguments(TrainingArguments, arguments(run)),
        train_dataset=_tokenized(data.training, ingredients.tokenizer, ids, length),
        eval_dataset=_tokenized(held_out, ingredients.tokenizer, ids, length),
        data_collator=DataCollatorWithPadding(ingredients.tokenizer),
        processing_class=ingredients.tokenizer,
        compute_metrics=_measure,
    )


def metrics(raw: Mapping[str, float]) -> dict[str, float]:
    """Name the evaluation's numbers as the report does."""
    return {name: round(raw[f"eval_{name}"], 4) for name in ("accuracy", "macroF1", "loss")}


def _tokenized(examples: Sequence[Example], tokenizer: Any, ids: Mapping[str, int], length: int) -> Any:
    encoded = tokenizer([example["text"] for example in examples], truncation=True, max_length=length)
    columns = list(encoded)
    return [
        {**{column: encoded[column][row] for column in columns}, "labels": ids[example["label"]]}
        for row, example in enumerate(examples)
    ]


def _measure(prediction: Any) -> dict[str, float]:
    """Score without scikit-learn, which is 40 MiB for these two lines."""
    scores = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
    chosen, truth = scores.argmax(-1), prediction.label_ids
    present = sorted({*chosen.tolist(), *truth.tolist()})
    return {
        "accuracy": float((chosen == truth).mean()),
        "macroF1": float(np.mean([_f1(chosen == label, truth == label) for label in present])),
    }


def _f1(chosen: Any, truth: Any) -> float:
    """Harmonic mean of precision and recall; the label is chosen or true at least once, so nothing divides by zero."""
    return 2.0 * float((chosen & truth).sum()) / float(chosen.sum() + truth.sum())
