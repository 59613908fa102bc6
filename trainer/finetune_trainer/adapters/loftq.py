"""LoftQ: an adapter that begins as the best low-rank copy of what quantization lost (arXiv 2310.08659, one step).

PEFT has it for CUDA alone, and leaves the adapter's scale out of it.

Not here: the adapter itself (`lora.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bitsandbytes
import torch
from peft.tuners.lora.bnb import Linear4bit
from safetensors import safe_open

ADAPTER = "default"
WRAPPERS = "base_model.model."


def begin(adapted: Any) -> None:
    """Set the adapter of every quantized layer; the lost weights are read from the model's folder, one at a time."""
    base = adapted.get_base_model()
    files = _files(Path(base.config._name_or_path))  # noqa: SLF001 - where it was loaded from
    for path, layer in adapted.named_modules():
        if isinstance(layer, Linear4bit):
            name = f"{path.removeprefix(WRAPPERS)}.weight"
            known = name if name in files else name.removeprefix(f"{base.base_model_prefix}.")
            with safe_open(files[known], "pt") as tensors:
                _set(layer, tensors.get_tensor(known))


def _files(folder: Path) -> dict[str, Path]:
    found = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            found |= dict.fromkeys(tensors.keys(), file)
    return found


@torch.no_grad()
def _set(layer: Any, original: torch.Tensor) -> None:
    stored = layer.get_base_layer().weight
    kept = bitsandbytes.functional.dequantize_4bit(stored.data, stored.quant_state).float()
    lost = (original.to(kept.device).float() - kept) / layer.scaling[ADAPTER]
    left, sizes, right = torch.linalg.svd(lost, full_matrices=False)
    rank, roots = layer.r[ADAPTER], sizes.sqrt()
    down, up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
    down.copy_(roots[:rank, None] * right[:rank])
    up.copy_(left[:, :rank] * roots[:rank])
