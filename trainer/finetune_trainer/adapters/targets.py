"""Which layers of a model an adapter sits beside, by the end of their names.

What PEFT knows by architecture lacks Phi-3's fused projections, so the choice is made here, for every architecture by
the same rule: `finetune_operator.planning.memory.adapters` counts after it.

Not here: what the adapter is (`lora.py`, `peft_types.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from finetune_trainer.contract import FailureReason
from finetune_trainer.process.failures import TrainerFailure

ALL_LINEAR = "all-linear"
OUTPUT_HEADS = ("lm_head", "classifier", "score", "qa_outputs")

QUERY = ("q_proj", "query", "q", "q_lin")
KEY = ("k_proj", "key", "k", "k_lin")
VALUE = ("v_proj", "value", "v", "v_lin")
FUSED = ("query_key_value", "qkv_proj", "c_attn")
"""Matrices that hold query, key and value in one."""

MLP_OUT = ("down_proj", "fc2", "output.dense", "dense_4h_to_h", "wo", "c_proj", "lin2")


def linear_names(model: Any) -> set[str]:
    """Name the layers that can get an adapter; the output head is not one of them, its loss bypasses an adapter."""
    return {path.split(".")[-1] for path, _module in _linears(model)}


def query_value(model: Any) -> list[str]:
    """Choose the projections that most papers adapt: query and value, or the matrix that holds them."""
    return _present(model, (*QUERY, *VALUE, *FUSED)) or sorted(linear_names(model))


def key_value_mlp(model: Any) -> list[str]:
    """Choose what IA3 scales: keys, values, and what goes into the last matrix of the MLP."""
    return _present(model, (*KEY, *VALUE, *FUSED, *MLP_OUT)) or sorted(linear_names(model))


def norms(model: Any) -> list[str]:
    """Choose every normalization."""
    found = {path for path, module in model.named_modules() if type(module).__name__.endswith(("RMSNorm", "LayerNorm"))}
    return sorted(found)


def checked(model: Any, wanted: Sequence[str], path: str) -> list[str] | str:
    """Return the layers that a user named, if the model has them.

    Raises:
        TrainerFailure: InvalidRun.
    """
    if ALL_LINEAR in wanted:
        return ALL_LINEAR
    paths = [name for name, _module in _linears(model)]
    if missing := [name for name in wanted if not any(_ends(path, name) for path in paths)]:
        message = (
            f"{path}: {', '.join(missing)} is no linear layer of this model; "
            f"it has {', '.join(sorted(linear_names(model)))}"
        )
        raise TrainerFailure(FailureReason.INVALID_RUN, message)
    return list(wanted)


def divisor(model: Any, wanted: Sequence[str] | str, sides: tuple[str, ...], most: int) -> int:
    """Return the largest block that divides the widths of all chosen layers."""
    chosen = [
        module for path, module in _linears(model) if wanted == ALL_LINEAR or any(_ends(path, name) for name in wanted)
    ]
    widths = math.gcd(*(width for module in chosen for side, width in _widths(module).items() if side in sides))
    return max(block for block in range(1, most + 1) if widths % block == 0)


def _linears(model: Any) -> list[tuple[str, Any]]:
    return [
        (path, module)
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and path.split(".")[-1] not in OUTPUT_HEADS
    ]


def _widths(module: Any) -> dict[str, int]:
    inward, outward = module.weight.shape if isinstance(module, Conv1D) else (module.in_features, module.out_features)
    return {"in": inward, "out": outward}


def _present(model: Any, names: Sequence[str]) -> list[str]:
    paths = [path for path, _module in _linears(model)]
    return [name for name in names if any(_ends(path, name) for path in paths)]


def _ends(path: str, name: str) -> bool:
    return f".{path}".endswith(f".{name}")
