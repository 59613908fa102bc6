"""Preference: direct preference optimization by TRL, the better of two answers made likelier than the worse.

What the model is compared with is the model as it came: with an adapter the same one without it, else a second copy.

Not here: checking the pairs (`data/rows.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from datasets import Dataset, disable_progress_bars
from torch.nn.functional import logsigmoid
from trl import DPOConfig, DPOTrainer

from finetune_trainer.contract import FailureReason
from finetune_trainer.data.lengths import Lengths, summed
from finetune_trainer.data.library_rows import LibraryRows, row_lengths, sides
from finetune_trainer.data.rows import Example
from finetune_trainer.data.token_store import Row
from finetune_trainer.objectives import measures
from finetune_trainer.objectives.arguments import (
    Ingredients,
    arguments,
    by_length,
    learn_in_fp32,
    make_arguments,
    prepare,
    tell_lost,
)
from finetune_trainer.process.failures import TrainerFailure

REFERENCE = "ref"
"""TRL's name for the copy of the adapter that it compares with."""

MOVES_THE_BASE = ("pissa", "olora", "loftq")
"""Starts of LoRA that are not zero, so that the model without the adapter is not the one that came."""

PROMPT, ANSWERS = "prompt_ids", ("chosen_ids", "rejected_ids")
UNDECIDED = 0.5
"""Of two answers, a model that prefers neither picks the better one half of the time."""


class PreferenceTrainer(measures.MeasuresMore, measures.MeansOverRows, DPOTrainer):  # type: ignore[misc]
    """TRL's trainer, whose evaluation also returns the rewards, of each pair once, and whose rows are kept."""

    def __init__(self, *arguments: Any, sides: Mapping[str, LibraryRows], **more: Any) -> None:
        self._sides = sides
        super().__init__(*arguments, **more)

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        """Let TRL make a side's tokens, once in the life of a job."""
        make = super()._prepare_dataset
        if dataset_name not in self._sides:
            return make(dataset, processing_class, args, dataset_name)

        def prepared(rows: Dataset) -> tuple[Dataset, Lengths]:
            uncut = copy.copy(args)
            uncut.max_length = None
            found = make(rows, processing_class, uncut, dataset_name).select_columns([PROMPT, *ANSWERS])
            kept = found.filter(lambda row: len(row[PROMPT]) < args.max_length)  # as TRL does with a limit
            longest = np.maximum(*(row_lengths(found, PROMPT, answer) for answer in ANSWERS))
            return kept, summed(longest, args.max_length, unlearnable=len(found) - len(kept))

        return self._sides[dataset_name].obtain(prepared)

    def prediction_step(self, model: Any, inputs: Mapping[str, Any], *arguments: Any, **more: Any) -> Any:
        """Note the rewards of each pair: how much likelier an answer has become, times beta (Rafailov et al. 2023)."""
        length = inputs["completion_mask"].shape[1] - 1  # learnt prompts come before it
        found: list[Any] = []

        def note(_model: Any, _arguments: Any, outputs: Any) -> None:
            found.append(outputs.log_probs[:, -length:].sum(-1, dtype=torch.float64))

        asked = [self.model] if self.ref_model is None else [self.model, self.ref_model]
        hooks = [one.register_forward_hook(note) for one in asked]
        try:
            measured = super().prediction_step(model, inputs, *arguments, **more)
        finally:
            for hook in hooks:
                hook.remove()
        learnt, as_it_came = found
        better, worse = (self.beta * (learnt - as_it_came)).chunk(2)
        margin = better - worse
        self.note(torch.ones_like(margin), -logsigmoid(margin), (margin > 0).double(), margin)
        return measured

    def more(self, _loss: float) -> dict[str, float]:
        """Return the share of pairs told apart, and by how much."""
        accuracy, margin = self.means[1:]
        return {"reward-accuracy": accuracy if round(margin, 6) else UNDECIDED, "reward-margin": margin}


def build(ingredients: Ingredients) -> PreferenceTrainer:
    """Make the trainer; TRL tokenizes and cuts the pairs."""
    disable_progress_bars()
    run, data, tokenizer = ingredients.run, ingredients.data, ingredients.tokenizer
    measures.chosen(run, "prefer")
    lora = run.technique.lora
    if lora and lora.variant in MOVES_THE_BASE:
        message = (
            f"technique.lora.variant {lora.variant} changes the model that a preference is compared with; take lora"
        )
        raise TrainerFailure(FailureReason.INVALID_RUN, message)
    length = run.training.sequence_length
    values = arguments(run) | {"max_length": length, "dataset_num_proc": None}

    def shape(example: Example) -> Row:
        return _with_template(example) if tokenizer.chat_template else _plain(example)

    both = sides(prepare(ingredients), data, by_length(data.validation), shape)
    trainer = PreferenceTrainer(
        model=ingredients.model,
        args=make_arguments(DPOConfig, values),
        train_dataset=both["train"].sample(),
        eval_dataset=both["eval"].sample(),
        processing_class=tokenizer,
        sides=both,
    )
    if REFERENCE in getattr(trainer.model, "peft_config", {}):
        trainer.model.delete_adapter(REFERENCE)  # it would be saved with the other one
    learn_in_fp32(trainer.model)
    tell_lost(len(data.validation), len(trainer.eval_dataset), length)
    return trainer


def _with_template(example: Example) -> dict[str, Any]:
    answers = {side: [{"role": "assistant", "content": example[side]}] for side in ("chosen", "rejected")}
    return {"prompt": example["messages"], **answers}


def _plain(example: Example) -> dict[str, Any]:
    """Without a template there are no markers either: turns are paragraphs."""
    prompt = "".join(turn["content"] + "\n\n" for turn in example["messages"])
    return {"prompt": prompt, "chosen": example["chosen"], "rejected": example["rejected"]}
