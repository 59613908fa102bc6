"""Preference: direct preference optimization by TRL, the better of two answers made likelier than the worse.

What the model is compared with is the model as it came: with an adapter the same one without it, else a second copy.

Not here: checking the pairs (`data/rows.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset, disable_progress_bars
from trl import DPOConfig, DPOTrainer

from finetune_trainer.contract import FailureReason
from finetune_trainer.data.rows import Example
from finetune_trainer.failures import TrainerFailure
from finetune_trainer.objectives.arguments import (
    Ingredients,
    arguments,
    by_length,
    learn_in_fp32,
    make_arguments,
    tell_cut,
    tell_lost,
)

REFERENCE = "ref"
"""TRL's name for the copy of the adapter that it compares with."""

MOVES_THE_BASE = ("pissa", "olora", "loftq")
"""Starts of LoRA that are not zero, so that the model without the adapter is not the one that came."""

UNDECIDED = 0.5
"""Of two answers, a model that prefers neither picks the better one half of the time."""


class PreferenceTrainer(DPOTrainer):  # type: ignore[misc]
    """TRL's trainer, whose evaluation also returns the rewards that it only logs."""

    def evaluate(self, *arguments: Any, **more: Any) -> dict[str, float]:
        """Measure the held-out pairs."""
        found: dict[str, float] = super().evaluate(*arguments, **more)
        return {**self.state.log_history[-1], **found}


def build(ingredients: Ingredients) -> PreferenceTrainer:
    """Make the trainer; TRL tokenizes and cuts the pairs."""
    disable_progress_bars()
    run, data, tokenizer = ingredients.run, ingredients.data, ingredients.tokenizer
    lora = run.technique.lora
    if lora and lora.variant in MOVES_THE_BASE:
        message = (
            f"technique.lora.variant {lora.variant} changes the model that a preference is compared with; take lora"
        )
        raise TrainerFailure(FailureReason.INVALID_RUN, message)
    length = run.training.sequence_length
    values = arguments(run) | {"max_length": length, "dataset_num_proc": None}
    trainer = PreferenceTrainer(
        model=ingredients.model,
        args=make_arguments(DPOConfig, values),
        train_dataset=_rows(data.training, tokenizer),
        eval_dataset=_rows(by_length(data.validation), tokenizer),
        processing_class=tokenizer,
    )
    if REFERENCE in getattr(trainer.model, "peft_config", {}):
        trainer.model.delete_adapter(REFERENCE)  # it would be saved with the other one
    learn_in_fp32(trainer.model)
    for before, kept in ((data.training, trainer.train_dataset), (data.validation, trainer.eval_dataset)):
        tell_lost(len(before), len(kept), length)
    longest = [
        len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"])) for row in trainer.train_dataset
    ]
    tell_cut(sum(tokens > length for tokens in longest), len(longest), length)
    return trainer


def metrics(raw: Mapping[str, float]) -> dict[str, float]:
    """Name the evaluation's numbers as the report does."""
    margin, accuracy = raw["eval_rewards/margins"], raw["eval_rewards/accuracies"]
    return {
        "reward-accuracy": round(accuracy if round(margin, 6) else UNDECIDED, 4),
        "reward-margin": round(margin, 4),
        "loss": round(raw["eval_loss"], 4),
    }


def _rows(examples: Sequence[Example], tokenizer: Any) -> Dataset:
    return Dataset.from_list([_with_template(each) if tokenizer.chat_template else _plain(each) for each in examples])


def _with_template(example: Example) -> dict[str, Any]:
    answers = {side: [{"role": "assistant", "content": example[side]}] for side in ("chosen", "rejected")}
    return {"prompt": example["messages"], **answers}


def _plain(example: Example) -> dict[str, Any]:
    """Without a template there are no markers either: turns are paragraphs."""
    prompt = "".join(turn["content"] + "\n\n" for turn in example["messages"])
    return {"prompt": prompt, "chosen": example["chosen"], "rejected": example["rejected"]}
