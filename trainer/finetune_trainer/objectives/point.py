"""Question answering by pointing: the first and the last token of the answer in its context.

The context is cut at the sequence length. A question whose answer is beyond is left out of training; held out, it
counts as not answered.

Not here: answers that stand in no context (`data/checks.py` refuses them), answers that are written (`sft.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from finetune_trainer.contract import FailureReason
from finetune_trainer.data.prepared import LEARNS, LENGTH, whole_length
from finetune_trainer.data.rows import Example
from finetune_trainer.data.token_store import Row
from finetune_trainer.objectives import measures, scores
from finetune_trainer.objectives.arguments import Ingredients, arguments, averaging, by_length, make_arguments, prepare
from finetune_trainer.process.failures import TrainerFailure

LONGEST_ANSWER = 60
"""Tokens of an answer; without a limit, a stray start and end far apart make one of the whole context."""

Offsets = list[tuple[int, int] | None]
OFFSETS = "offsets"
"""The column of a row that says where its tokens stand in the context; not for the model."""


def build(ingredients: Ingredients) -> Trainer:
    """Tokenize questions with their contexts and make the trainer."""
    run, data, tokenizer = ingredients.run, ingredients.data, ingredients.tokenizer
    if not tokenizer.is_fast:
        message = f"{run.model.name} has no fast tokenizer, which alone tells the words that its tokens come from"
        raise TrainerFailure(FailureReason.INVALID_RUN, message)
    length, held_out = run.training.sequence_length, by_length(data.validation)
    wanted = measures.chosen(run, "point")
    tokens = prepare(ingredients)
    learnt = tokens.training(lambda examples: (_row(each, tokenizer, length) for each in examples))
    measured = tokens.held_out(held_out, lambda examples: (_row(each, tokenizer, length) for each in examples))

    def measure(prediction: Any) -> dict[str, float]:
        starts, ends = prediction.predictions[:2]
        offsets = (row[OFFSETS] for row in measured)
        found = [_best(*row) for row in zip(held_out, offsets, starts, ends, strict=True)]
        # Batches fill rows up with tokens that no answer can be; the model's own loss counts them as wrong choices.
        lengths = np.array([len(row[OFFSETS]) for row in measured])
        both = np.stack((starts, ends), 1)
        possible = np.where(np.arange(both.shape[-1]) < lengths[:, None, None], both, -np.inf)
        loss = scores.cross_entropy(possible, np.stack(prediction.label_ids, 1))
        return {**scores.texts([example["answer"] for example in held_out], found, wanted), measures.LOSS: loss}

    values = arguments(run) | {"label_names": ["start_positions", "end_positions"]}
    return averaging(
        Trainer(
            model=ingredients.model,
            args=make_arguments(TrainingArguments, values),
            train_dataset=learnt.without(OFFSETS),
            eval_dataset=measured.without(OFFSETS),
            data_collator=DataCollatorWithPadding(tokenizer),
            processing_class=tokenizer,
            compute_metrics=measure,
        )
    )


def _row(example: Example, tokenizer: Any, length: int) -> Row:
    """Return a row for the model with where its context's tokens stand; it teaches where the whole answer is in it."""
    question = _short(example["question"], tokenizer, length)
    encoded = tokenizer(
        question,
        example["context"],
        truncation="only_second",
        max_length=length,
        return_offsets_mapping=True,
    )
    of_context = [side == 1 for side in encoded.sequence_ids()]
    offsets: Offsets = [
        place if inside else None for place, inside in zip(encoded.pop("offset_mapping"), of_context, strict=True)
    ]
    start, end = example["start"], example["start"] + len(example["answer"])
    inside = [n for n, place in enumerate(offsets) if place and place[0] < end and place[1] > start]
    whole = bool(inside) and (offsets[inside[-1]] or (0, 0))[1] >= end
    first, last = (inside[0], inside[-1]) if whole else (0, 0)
    row = {**encoded, "start_positions": first, "end_positions": last, OFFSETS: offsets}
    full = whole_length(len(row["input_ids"]), length, tokenizer, question, example["context"])
    return {**row, LENGTH: full, LEARNS: whole}


def _short(question: str, tokenizer: Any, length: int) -> str:
    """Leave at least half of the sequence to the context."""
    places = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return question if len(places) <= length // 2 else question[: places[length // 2][0]]


def _best(example: Example, offsets: Offsets, starts: Any, ends: Any) -> str:
    """Take the likeliest span: its start's and its end's scores added, the end not before the start."""
    inside = [number for number, place in enumerate(offsets) if place is not None]
    if not inside:
        return ""
    low, high = inside[0], inside[-1] + 1
    both = starts[low:high, None] + ends[None, low:high]
    allowed = np.triu(np.ones_like(both, dtype=bool)) & ~np.triu(np.ones_like(both, dtype=bool), LONGEST_ANSWER)
    first, last = np.unravel_index(np.where(allowed, both, -np.inf).argmax(), both.shape)
    begin, end = offsets[low + int(first)], offsets[low + int(last)]
    return str(example["context"][begin[0] : end[1]]) if begin and end else ""
