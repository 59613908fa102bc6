"""Token classification: a tag for each word; measured by the names that are found whole.

The first sub-token of a word carries its tag, the others carry none. Words that the sequence length cuts off count as
found to be nothing.

Not here: which tags there are (`data/load.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import DataCollatorForTokenClassification, Trainer, TrainingArguments

from finetune_trainer.contract import FailureReason
from finetune_trainer.data.rows import Example
from finetune_trainer.failures import TrainerFailure
from finetune_trainer.objectives import scores
from finetune_trainer.objectives.arguments import Ingredients, arguments, by_length, make_arguments, tell_cut

NO_TAG = -100
"""The label that transformers' losses pass over."""


def build(ingredients: Ingredients) -> Trainer:
    """Tokenize the words and make the trainer."""
    run, data, tokenizer = ingredients.run, ingredients.data, ingredients.tokenizer
    if not tokenizer.is_fast:
        message = f"{run.model.name} has no fast tokenizer, which alone tells the words that its tokens come from"
        raise TrainerFailure(FailureReason.INVALID_RUN, message)
    length, held_out = run.training.sequence_length, by_length(data.validation)
    learnt = [_tokenized(example, tokenizer, data.labels, length)[0] for example in data.training]
    measured = [_tokenized(example, tokenizer, data.labels, length) for example in held_out]
    tell_cut(sum(len(row["input_ids"]) >= length for row in learnt), len(learnt), length)

    def measure(prediction: Any) -> dict[str, float]:
        numbers = (
            row[mask]
            for row, mask in zip(prediction.predictions.argmax(-1), prediction.label_ids != NO_TAG, strict=True)
        )
        found = ([data.labels[number] for number in row.tolist()] for row in numbers)
        rows = zip(held_out, (tagged for _row, tagged in measured), found, strict=True)
        return scores.names([example["tags"] for example in held_out], [_tags(*row) for row in rows])

    return Trainer(
        model=ingredients.model,
        args=make_arguments(TrainingArguments, arguments(run)),
        train_dataset=learnt,
        eval_dataset=[row for row, _tagged in measured],
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
        compute_metrics=measure,
    )


def metrics(raw: Mapping[str, float]) -> dict[str, float]:
    """Name the evaluation's numbers as the report does."""
    return {name: round(raw[f"eval_{name}"], 4) for name in ("f1", "precision", "recall", "accuracy", "loss")}


def _tokenized(
    example: Example, tokenizer: Any, labels: Sequence[str], length: int
) -> tuple[dict[str, Any], list[int]]:
    """Return a row for the model, and the words that carry a tag in it, in order.

    A token's word is found by its place in the text, which also works where tokens begin with the space before a word.
    """
    words = example["tokens"]
    encoded = tokenizer(" ".join(words), truncation=True, max_length=length, return_offsets_mapping=True)
    starts = list(itertools.accumulate((len(word) + 1 for word in words), initial=0))[:-1]
    tags, tagged, word = [], [], 0
    for start, end in encoded.pop("offset_mapping"):
        while word + 1 < len(words) and end > starts[word + 1]:
            word += 1
        begins = end > start and word not in tagged[-1:]
        tagged += [word] if begins else []
        tags.append(labels.index(example["tags"][word]) if begins else NO_TAG)
    return {**encoded, "labels": tags}, tagged


def _tags(example: Example, tagged: Sequence[int], chosen: Sequence[str]) -> list[str]:
    tags = ["O"] * len(example["tags"])
    for word, tag in zip(tagged, chosen, strict=True):
        tags[word] = tag
    return tags
