"""EVA: a LoRA that begins with the directions in which the inputs of each layer vary most (arXiv 2410.07170).

A pass over the rows before training finds them. Every layer keeps its rank, so that a checkpoint fits into a run that
goes on from it; the paper's moving of ranks between layers is left out.

Not here: the adapter itself (`lora.py`).
"""

from __future__ import annotations

import time
from typing import Any

import peft
import torch

CONFIG = {"init_lora_weights": "eva", "eva_config": peft.EvaConfig(rho=1.0)}


def begin(model: Any, batches: Any) -> None:
    """Pass rows through the model until the directions no longer turn, and set the adapter to them."""
    start, was_training = time.monotonic(), model.training
    device = next(model.parameters()).device
    model.eval()
    moved = Moved(batches, device)
    peft.initialize_lora_eva_weights(
        model,
        moved,
        prepare_model_inputs_fn=lambda batch, _config: _masks(batch, model.config),
        prepare_layer_inputs_fn=_without_padding,
        gather_distributed_inputs=False,  # every process reads the same rows
        show_progress_bar=False,
    )
    model.train(was_training)
    print(f"eva: the adapter begins with what {moved.count} batches showed ({time.monotonic() - start:.1f} s)")


def _masks(batch: dict[str, torch.Tensor], config: Any) -> list[torch.Tensor]:
    """Tell tokens from padding: in what is read, and in what an encoder-decoder writes."""
    masks = [batch["attention_mask"].bool()]
    if "decoder_input_ids" in batch:
        written = batch["decoder_input_ids"] != config.pad_token_id
        written[:, 0] = True  # T5 begins with the padding token
        masks.insert(0, written)
    return masks


def _without_padding(layer_input: Any, masks: list[torch.Tensor], _name: str) -> torch.Tensor:
    values: torch.Tensor = layer_input[0] if isinstance(layer_input, tuple) else layer_input
    fitting = [mask for mask in masks if mask.shape == values.shape[:2]]
    return values[fitting[0]] if fitting else values.reshape(-1, values.shape[-1])


class Moved:
    """Batches on the model's device, counted."""

    def __init__(self, batches: Any, device: torch.device) -> None:
        self._batches, self._device = batches, device
        self.count = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Any:
        """Give each batch as it is asked for."""
        for batch in self._batches:
            self.count += 1
            yield {name: values.to(self._device) for name, values in batch.items()}
