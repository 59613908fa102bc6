"""Prompt, prefix and p-tuning: measuring the model without them, and going on from a checkpoint.

PEFT saves the finished prompts and not the network that p-tuning and projected prefixes learn to write them with.

Not here: their configs (`peft_types.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peft
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

FILE = "prompt_encoder.safetensors"


@contextlib.contextmanager
def left_out(model: Any) -> Iterator[None]:
    """Show the model without its prompts, by a config that asks for none.

    PEFT's own `disable_adapter` swaps `forward`, which mixed precision and TRL have wrapped by then.
    """
    configs = model.peft_config
    own = configs["default"]
    configs["default"] = peft.PeftConfig(peft_type=own.peft_type, task_type=own.task_type)
    model.get_base_model = lambda: model.base_model  # with another kind of config PEFT would look a level deeper
    try:
        yield
    finally:
        configs["default"] = own
        del model.get_base_model


def take(model: Any, checkpoint: Path) -> None:
    """Take the encoder's weights from a checkpoint."""
    model.prompt_encoder.load_state_dict(load_file(checkpoint / FILE))


class KeepPrompts(TrainerCallback):  # type: ignore[misc]
    """Saves the whole prompt encoder beside each checkpoint, and takes it from the one a run goes on from."""

    def __init__(self, model: Any, resumed: Path | None) -> None:
        self._model = model
        self._encoder = model.prompt_encoder
        self._resumed = resumed

    def on_train_begin(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Take the encoder's weights from the checkpoint."""
        if self._resumed is not None:
            take(self._model, self._resumed)

    def on_save(self, args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Save them into the checkpoint that was just written."""
        weights = {name: weight.detach().cpu().contiguous() for name, weight in self._encoder.state_dict().items()}
        save_file(weights, Path(args.output_dir) / f"checkpoint-{state.global_step}" / FILE)
