"""LoRA: small trainable matrices beside frozen projections.

Not here: frozen weights in fewer bits (`qlora.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import peft
import torch

from finetune_trainer.contract import FailureReason, LoraSettings, TechniqueSettings
from finetune_trainer.failures import TrainerFailure
from finetune_trainer.heads import CAUSAL_LM, SEQUENCE_CLASSIFICATION

TASK_TYPES = {SEQUENCE_CLASSIFICATION: "SEQ_CLS", CAUSAL_LM: "CAUSAL_LM"}
OUTPUT_HEADS = ("lm_head", "classifier", "score")
ALL_LINEAR = ("all-linear",)

TARGETS_BY_ARCHITECTURE: Mapping[str, tuple[str, ...]] = {
    "bert": ("query", "value"),
    "roberta": ("query", "value"),
    "distilbert": ("q_lin", "v_lin"),
    "phi3": ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"),
}


def attach(model: Any, technique: TechniqueSettings, head: str) -> Any:
    """Put LoRA beside the chosen projections; a classifier's head is trained whole and saved with the adapter."""
    settings = technique.lora
    if settings is None:
        raise TrainerFailure(FailureReason.INVALID_RUN, f"technique {technique.method} without its lora settings")
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=_targets(model, settings),
        task_type=TASK_TYPES[head],
    )
    return peft.get_peft_model(model, config)


def _targets(model: Any, settings: LoraSettings) -> list[str] | str:
    wanted = settings.target_modules or TARGETS_BY_ARCHITECTURE.get(model.config.model_type, ALL_LINEAR)
    if wanted == ALL_LINEAR:
        return "all-linear"
    there = _linear_names(model)
    if missing := [name for name in wanted if name.split(".")[-1] not in there]:
        message = (
            f"technique.lora.targetModules: {', '.join(missing)} is no linear layer of this model; "
            f"it has {', '.join(sorted(there))}"
        )
        raise TrainerFailure(FailureReason.INVALID_RUN, message)
    return list(wanted)


def _linear_names(model: Any) -> set[str]:
    """Name the layers that LoRA can sit beside; the output head is not one of them, its loss bypasses an adapter."""
    names = {name.split(".")[-1] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    return names - set(OUTPUT_HEADS)
