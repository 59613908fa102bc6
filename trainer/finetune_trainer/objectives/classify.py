"""Text classification: one label per text, or all of those that fit; measured by accuracy and macro F1.

Not here: which labels there are (`data/load.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from finetune_trainer.data.prepared import LENGTH, whole_length
from finetune_trainer.data.rows import Example
from finetune_trainer.data.token_store import Row
from finetune_trainer.objectives import measures
from finetune_trainer.objectives.arguments import Ingredients, arguments, averaging, by_length, make_arguments, prepare
from finetune_trainer.objectives.measures import LOSS
from finetune_trainer.objectives.scores import cross_entropy, ratios


def build(ingredients: Ingredients) -> Trainer:
    """Tokenize the rows and make the trainer; batches are padded to their own longest row only."""
    run, data = ingredients.run, ingredients.data
    length, wanted, tokenizer = run.training.sequence_length, measures.chosen(run, "classify"), ingredients.tokenizer
    tokens = prepare(ingredients)

    def make(examples: Sequence[Example]) -> Iterator[Row]:
        return _tokenized(examples, tokenizer, data.labels, length)

    return averaging(
        Trainer(
            model=ingredients.model,
            args=make_arguments(TrainingArguments, arguments(run)),
            train_dataset=tokens.training(make),
            eval_dataset=tokens.held_out(by_length(data.validation), make),
            data_collator=DataCollatorWithPadding(tokenizer),
            processing_class=tokenizer,
            compute_metrics=lambda prediction: measures.only(wanted, measure(prediction)),
        )
    )


def _tokenized(examples: Sequence[Example], tokenizer: Any, labels: Sequence[str], length: int) -> Iterator[Row]:
    encoded = tokenizer([example["text"] for example in examples], truncation=True, max_length=length)
    for number, example in enumerate(examples):
        row = {column: values[number] for column, values in encoded.items()}
        whole = whole_length(len(row["input_ids"]), length, tokenizer, example["text"])
        yield {**row, "labels": _target(example, labels), LENGTH: whole}


def _target(example: Example, labels: Sequence[str]) -> int | list[float]:
    """Number the label; of several, say for each whether the text has it, in the floats that select that loss."""
    if "labels" in example:
        return [float(label in example["labels"]) for label in labels]
    return labels.index(example["label"])


def measure(prediction: Any) -> dict[str, float]:
    """Score the labels chosen; averages are over the labels that are there or were chosen, each counted alike."""
    scores = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
    truth = prediction.label_ids
    loss = cross_entropy(scores, truth)
    if truth.ndim > 1:
        chosen, truth = scores > 0, truth > 0
        return {"accuracy": float((chosen == truth).all(-1).mean()), LOSS: loss, **_averages(chosen.T, truth.T)}
    present = sorted({*(chosen := scores.argmax(-1)).tolist(), *truth.tolist()})
    by_label = [[side == label for label in present] for side in (chosen, truth)]
    return {"accuracy": float((chosen == truth).mean()), LOSS: loss, **_averages(*by_label)}


def _averages(chosen: Sequence[Any], truth: Sequence[Any]) -> dict[str, float]:
    """Average over labels, each counted alike."""
    pairs = zip(chosen, truth, strict=True)
    each = [ratios(int((one & other).sum()), int(one.sum()), int(other.sum())) for one, other in pairs]
    return {name: float(np.mean([label[name] for label in each])) for name in ("f1", "precision", "recall")}
