"""Language modelling: the next token of plain text, or of the assistant's turns of a conversation.

A question with its context, or a sentence to translate, is a conversation of two turns.

Loss is counted on answers only where the chat template can mark them, else on the last answer.

Not here: checking conversations (`data/rows.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset, disable_progress_bars
from trl import SFTConfig, SFTTrainer
from trl.chat_template_utils import get_training_chat_template

from finetune_trainer.data.rows import Example, as_conversation
from finetune_trainer.objectives.arguments import (
    Ingredients,
    arguments,
    by_length,
    learn_in_fp32,
    make_arguments,
    tell_lost,
)

GENERATION_TAG = re.compile(r"{%-?\s*generation\b")
LARGEST_EXPONENT = 80.0
"""A loss beyond this would overflow the perplexity, which says nothing any more by then."""


def build(ingredients: Ingredients) -> SFTTrainer:
    """Make the trainer; TRL tokenizes, masks and cuts the rows."""
    disable_progress_bars()
    run, data, tokenizer = ingredients.run, ingredients.data, ingredients.tokenizer
    learnt, held_out = (
        [as_conversation(example) for example in side] for side in (data.training, by_length(data.validation))
    )
    conversational = "messages" in learnt[0]
    masked = conversational and _marks_answers(tokenizer)
    values = arguments(run) | {
        "max_length": run.training.sequence_length,
        "packing": run.training.packing and not conversational,
        "packing_strategy": "wrapped",  # TRL's default needs flash attention to keep documents apart
        "eval_packing": False,  # held-out rows are measured one by one, whatever the training does
        "assistant_only_loss": masked,
        "dataset_num_proc": None,
    }
    trainer = SFTTrainer(
        model=ingredients.model,
        args=make_arguments(SFTConfig, values),
        train_dataset=Dataset.from_list(_rows(learnt, tokenizer, masked=masked)),
        eval_dataset=Dataset.from_list(_rows(held_out, tokenizer, masked=masked)),
        processing_class=tokenizer,
    )
    learn_in_fp32(trainer.model)
    if not values["packing"]:
        tell_lost(len(data.training), len(trainer.train_dataset), run.training.sequence_length)
    tell_lost(len(data.validation), len(trainer.eval_dataset), run.training.sequence_length)
    return trainer


def metrics(raw: Mapping[str, float]) -> dict[str, float]:
    """Name the evaluation's numbers as the report does."""
    loss = raw["eval_loss"]
    return {"loss": round(loss, 4), "perplexity": round(math.exp(min(loss, LARGEST_EXPONENT)), 3)}


def _marks_answers(tokenizer: Any) -> bool:
    template = tokenizer.chat_template
    if not isinstance(template, str):
        return False
    if GENERATION_TAG.search(template):
        return True
    try:
        get_training_chat_template(tokenizer)
    except ValueError:
        print("the chat template does not mark answers: only the last answer of each conversation is learnt")
        return False
    return True


def _rows(examples: Sequence[Example], tokenizer: Any, *, masked: bool) -> list[dict[str, Any]]:
    if masked or "text" in examples[0]:
        return list(examples)
    split = [(example["messages"][:-1], example["messages"][-1]) for example in examples]
    if tokenizer.chat_template:
        return [{"prompt": before, "completion": [answer]} for before, answer in split]
    # Without a template there are no markers either: turns are paragraphs.
    return [
        {"prompt": "".join(turn["content"] + "\n\n" for turn in before), "completion": answer["content"]}
        for before, answer in split
    ]
