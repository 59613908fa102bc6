"""The run's training settings in the words of transformers, the same for each objective.

Values that differ from transformers' own defaults say why.

Not here: settings of one objective alone (its own module).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from finetune_trainer.contract import FailureReason, TrainerRun
from finetune_trainer.data.load import Data
from finetune_trainer.data.prepared import Preparation
from finetune_trainer.data.rows import Example
from finetune_trainer.distributed import engines
from finetune_trainer.process.failures import TrainerFailure
from finetune_trainer.training.checkpoints import STAGING


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    """What a trainer is made of."""

    run: TrainerRun
    model: Any
    tokenizer: Any
    data: Data
    note: Callable[..., None] = lambda **_facts: None
    """Gets what is found out about the data while it becomes tokens, as `dataset`."""


def prepare(ingredients: Ingredients) -> Preparation:
    """Give what turns this run's examples into rows of tokens."""
    return Preparation(ingredients.run, ingredients.data, ingredients.tokenizer, ingredients.note)


def arguments(run: TrainerRun) -> dict[str, Any]:
    """Translate the run."""
    training = run.training
    return {
        "output_dir": str(Path(run.checkpoints.directory) / STAGING),  # complete ones are renamed out of there
        "max_steps": -1 if training.max_steps is None else training.max_steps,
        "num_train_epochs": 1.0 if training.epochs is None else training.epochs,
        "learning_rate": training.learning_rate,
        "per_device_train_batch_size": training.micro_batch_size,
        "per_device_eval_batch_size": training.micro_batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation_steps,
        "gradient_checkpointing": training.gradient_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},  # the one that works with frozen inputs
        "bf16": training.precision in {"bf16", "bf16-mixed"},
        "fp16": training.precision == "fp16",
        "optim": training.optimizer,
        "lr_scheduler_type": training.scheduler,
        "warmup_steps": training.warmup_steps,
        "seed": training.seed,
        "logging_steps": 1,  # so that step, loss and rate are always the last step's
        "logging_nan_inf_filter": False,  # a loss that is not finite must be seen, not averaged away
        "include_num_input_tokens_seen": "non_padding",
        "eval_strategy": "no" if run.evaluation.every_steps is None else "steps",
        "eval_steps": run.evaluation.every_steps,
        "save_strategy": "no",  # the loop decides when, because seconds count as well as steps
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
        **engines.arguments(run),
    }


def by_length(examples: Iterable[Example]) -> list[Example]:
    """Sort held-out rows, so that a batch of them has little padding."""
    return sorted(examples, key=lambda example: len(str(example)))


def averaging(trainer: Any) -> Any:
    """Have a trainer average over the micro-batches of a step, for models whose loss is a mean over their micro-batch.

    transformers takes a forward pass with open keyword arguments for one that divides by the items of the whole step,
    and then only adds up: with four micro-batches losses and gradients were four times too large.
    """
    trainer.model_accepts_loss_kwargs = False
    return trainer


def learn_in_fp32(model: Any) -> None:
    """Take back that TRL casts the adapters of quantized models to bf16.

    Small steps are rounded away in it, and on a CPU every shape of a batch leaves a compiled kernel behind: a run grew
    by 8 MiB a step.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def tell_lost(before: int, after: int, length: int) -> None:
    """Say what libraries keep silent about: rows with nothing to learn within the sequence length are left out.

    Raises:
        TrainerFailure: DataInvalid, when none is left.
    """
    if after == 0:
        message = f"no row has an answer within spec.training.sequenceLength {length}: raise it"
        raise TrainerFailure(FailureReason.DATA_INVALID, message)
    if after < before:
        print(f"warning: {before - after} rows have nothing to learn within {length} tokens and are left out")


def make_arguments(kind: Any, values: dict[str, Any]) -> Any:
    """Build transformers' object.

    Raises:
        TrainerFailure: InvalidRun, for a name of an optimizer or scheduler that transformers does not know.
    """
    try:
        return kind(**values)
    except ValueError as error:
        message = f"training settings: {str(error).strip().splitlines()[0][:300]}"
        raise TrainerFailure(FailureReason.INVALID_RUN, message) from error
