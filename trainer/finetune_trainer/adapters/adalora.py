"""AdaLoRA: ranks move to where they matter, in the steps of the run; PEFT leaves calling it at each step to others.

Not here: its config (`peft_types.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from finetune_trainer.contract import FailureReason
from finetune_trainer.process.failures import TrainerFailure

FILE = "importance.safetensors"
IMPORTANCE = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""PEFT's names for how much each weight matters: at this step, and the averages over steps of it and of its changes."""

UNKNOWN_STEPS = 1_000_000_000
"""Stands in until training begins, which is when the number of steps is known."""


def prepare(model: Any) -> Any:
    """Count the penalty for ranks that resemble each other in training only: it is no loss of the model's."""
    tuner = model.base_model
    penalized = tuner.forward

    def forward(*args: Any, **named: Any) -> Any:
        return penalized(*args, **named) if tuner.training else tuner.model.forward(*args, **named)

    tuner.forward = forward
    return model


class AllocateRanks(TrainerCallback):  # type: ignore[misc]
    """Lets the adapter allocate its ranks after each step.

    The final pattern is kept here and not in PEFT's config: with it PEFT would save cut weights that it cannot read
    back into a run. What was cut is zero in the weights, so a resumed run finds it there. How much each weight has
    mattered lies beside them in each checkpoint.
    """

    def __init__(self, model: Any, resumed: Path | None) -> None:
        self._resumed = resumed
        self._tuner = model.base_model
        self._allocator = model.base_model.rankallocator
        self._config = model.peft_config["default"]
        self._pattern: dict[str, list[bool]] | None = None

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Tell the adapter the number of steps."""
        config = self._config
        if config.tinit >= state.max_steps - config.tfinal:
            message = (
                f"technique.peft.options: tinit {config.tinit} and tfinal {config.tfinal} leave none of "
                f"{state.max_steps} steps to allocate ranks in; lower them"
            )
            raise TrainerFailure(FailureReason.INVALID_RUN, message)
        self._allocator.set_total_step(state.max_steps)
        if self._resumed is not None and (self._resumed / FILE).is_file():
            for key, value in load_file(self._resumed / FILE).items():
                kept, _dot, name = key.partition(".")
                getattr(self._allocator, kept)[name] = value.to(self._tuner.model.device)

    def on_save(self, args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Save what the weights have mattered into the checkpoint that was just written."""
        mattered = {
            f"{kept}.{name}": value.cpu().contiguous()
            for kept in IMPORTANCE
            for name, value in getattr(self._allocator, kept).items()
        }
        if mattered:
            save_file(mattered, Path(args.output_dir) / f"checkpoint-{state.global_step}" / FILE)

    def on_optimizer_step(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Allocate, between the optimizer's step and the next gradients."""
        step, last = state.global_step + 1, self._config.total_step - self._config.tfinal
        if self._pattern is None and step >= last and not self._allocator.exp_avg_ipt:
            self._pattern = self._from_weights()
        if self._pattern is not None:
            self._allocator.mask_using_rank_pattern(self._tuner.model, self._pattern)
            return
        self._tuner.update_and_allocate(step)
        self._pattern = self._config.rank_pattern if step == last else None
        self._config.rank_pattern = None

    def _from_weights(self) -> dict[str, list[bool]]:
        named = self._tuner.model.named_parameters()
        return {name: (weight != 0).view(-1).tolist() for name, weight in named if "lora_E" in name}
