"""Language modelling: the next token of plain text, or of the assistant's turns of a conversation.

Loss is counted on answers only where the chat template can mark them, else on the last answer.

Not here: checking conversations (`data/formats.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset, disable_progress_bars
from trl import SFTConfig, SFTTrainer
from trl.chat_template_utils import get_training_chat_template

from finetune_trainer.contract import FailureReason
from finetune_trainer.data.formats import Example
from finetune_trainer.failures import TrainerFailure
from finetune_trainer.objectives.arguments import Ingredients, arguments, make_arguments

GENERATION_TAG = re.compile(r"{%-?\s*generation\b")
LARGEST_EXPONENT = 80.0
"""A loss beyond this would overflow the perplexity, which says nothing any more by then."""


def build(ingredients: Ingredients) -> SFTTrainer:
    """Make the trainer; TRL tokenizes, masks and cuts the rows."""
    disable_progress_bars()
    run, data, tokenizer = ingredients.run, ingredients.data, ingredients.tokenizer
    conversational = "messages" in data.training[0]
    masked = conversational and _marks_answers(tokenizer)
    values = arguments(run) | {
        "max_length": run.training.sequence_length,
        "packing": run.training.packing and not conversational,
        "packing_strategy": "wrapped",  # TRL's default needs flash attention to keep documents apart
        "eval_packing": False,  # held-out rows are measured one by one, whatever the training does
        "assistant_only_loss": masked,
        "dataset_num_proc": None,
    }
    held_out = sorted(data.validation, key=lambda example: len(str(example)))
    trainer = SFTTrainer(
        model=ingredients.model,
        args=make_arguments(SFTConfig, values),
        train_dataset=Dataset.from_list(_rows(data.training, tokenizer, masked=masked)),
        eval_dataset=Dataset.from_list(_rows(held_out, tokenizer, masked=masked)),
        processing_class=tokenizer,
    )
    _learn_in_fp32(trainer.model)
    if not values["packing"]:
        _tell_lost_rows(len(data.training), len(trainer.train_dataset), run.training.sequence_length)
    return trainer


def metrics(raw: Mapping[str, float]) -> dict[str, float]:
    """Name the evaluation's numbers as the report does."""
    loss = raw["eval_loss"]
    return {"loss": round(loss, 4), "perplexity": round(math.exp(min(loss, LARGEST_EXPONENT)), 3)}


def _learn_in_fp32(model: Any) -> None:
    """Take back that TRL casts the adapters of quantized models to bf16.

    Small steps are rounded away in it, and on a CPU every shape of a batch leaves a compiled kernel behind: a run grew
    by 8 MiB a step.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


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


def _tell_lost_rows(before: int, after: int, length: int) -> None:
    """Say what TRL keeps silent about: rows with nothing to learn within the sequence length are left out."""
    if after == 0:
        message = f"no row has an answer within spec.training.sequenceLength {length}: raise it"
        raise TrainerFailure(FailureReason.DATA_INVALID, message)
    if after < before:
        print(f"warning: {before - after} rows have nothing to learn within {length} tokens and are left out")
