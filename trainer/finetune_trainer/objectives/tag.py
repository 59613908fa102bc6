"""Token classification: a tag for each word; measured by the names that are found whole.

The first sub-token of a word carries its tag, the others carry none. Words that the sequence length cuts off count as
found to be nothing.

Not here: which tags there are (`data/load.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from transformers import DataCollatorForTokenClassification, Trainer, TrainingArguments

from finetune_trainer.contract import FailureReason
from finetune_trainer.data.prepared import LEARNS, LENGTH, whole_length
from finetune_trainer.data.rows import Example
from finetune_trainer.data.token_store import Row
from finetune_trainer.objectives import measures, scores
from finetune_trainer.objectives.arguments import Ingredients, arguments, averaging, by_length, make_arguments, prepare
from finetune_trainer.process.failures import TrainerFailure

TAGGED = "tagged"
"""The column of a row that numbers the words with a tag; not for the model."""

NO_TAG = -100
"""The label that transformers' losses pass over."""


def build(ingredients: Ingredients) -> Trainer:
    """Tokenize the words and make the trainer."""
    run, data, tokenizer = ingredients.run, ingredients.data, ingredients.tokenizer
    if not tokenizer.is_fast:
        message = f"{run.model.name} has no fast tokenizer, which alone tells the words that its tokens come from"
        raise TrainerFailure(FailureReason.INVALID_RUN, message)
    length, held_out = run.training.sequence_length, by_length(data.validation)
    wanted = measures.chosen(run, "tag")
    tokens = prepare(ingredients)

    def make(examples: Sequence[Example]) -> Iterator[Row]:
        return (_tokenized(example, tokenizer, data.labels, length) for example in examples)

    measured = tokens.held_out(held_out, make)

    def measure(prediction: Any) -> dict[str, float]:
        labelled = prediction.label_ids != NO_TAG
        numbers = (row[mask] for row, mask in zip(prediction.predictions.argmax(-1), labelled, strict=True))
        found = ([data.labels[number] for number in row.tolist()] for row in numbers)
        rows = zip(held_out, (row[TAGGED] for row in measured), found, strict=True)
        found_tags = [_tags(*row) for row in rows]
        loss = scores.cross_entropy(prediction.predictions[labelled], prediction.label_ids[labelled])
        of_names = scores.names([example["tags"] for example in held_out], found_tags)
        return measures.only(wanted, {**of_names, measures.LOSS: loss})

    return averaging(
        Trainer(
            model=ingredients.model,
            args=make_arguments(TrainingArguments, arguments(run)),
            train_dataset=tokens.training(make).without(TAGGED),
            eval_dataset=measured.without(TAGGED),
            data_collator=DataCollatorForTokenClassification(tokenizer),
            processing_class=tokenizer,
            compute_metrics=measure,
        )
    )


def _tokenized(example: Example, tokenizer: Any, labels: Sequence[str], length: int) -> Row:
    """Return a row for the model, with the words that carry a tag in it, in order.

    A token's word is found by its place in the text, which also works where tokens begin with the space before a word.
    """
    words = example["tokens"]
    text = " ".join(words)
    encoded = tokenizer(text, truncation=True, max_length=length, return_offsets_mapping=True)
    starts = list(itertools.accumulate((len(word) + 1 for word in words), initial=0))[:-1]
    tags, tagged, word = [], [], 0
    for start, end in encoded.pop("offset_mapping"):
        while word + 1 < len(words) and end > starts[word + 1]:
            word += 1
        begins = end > start and word not in tagged[-1:]
        tagged += [word] if begins else []
        tags.append(labels.index(example["tags"][word]) if begins else NO_TAG)
    whole = whole_length(len(tags), length, tokenizer, text)
    return {**encoded, "labels": tags, TAGGED: tagged, LENGTH: whole, LEARNS: bool(tagged)}


def _tags(example: Example, tagged: Sequence[int], chosen: Sequence[str]) -> list[str]:
    tags = ["O"] * len(example["tags"])
    for word, tag in zip(tagged, chosen, strict=True):
        tags[word] = tag
    return tags
