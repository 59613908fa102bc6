"""QLoRA and QDoRA: LoRA or DoRA beside projections whose frozen weights are stored in 4 or 8 bits.

Not here: the quantized load (`models.py`), LoRA's own settings (`lora.py`).
"""

from __future__ import annotations

from typing import Any

from finetune_trainer.adapters import lora
from finetune_trainer.contract import FailureReason, TechniqueSettings
from finetune_trainer.process.failures import TrainerFailure


def attach(model: Any, technique: TechniqueSettings, head: str) -> Any:
    """Attach LoRA or DoRA, which freezes all else.

    PEFT's `prepare_model_for_kbit_training` is left out on purpose: it lifts norms, embeddings and head to fp32, and
    with them everything that layers pass on, which takes half as much memory again (counted in tests/fake).
    """
    if technique.quantization is None:
        raise TrainerFailure(
            FailureReason.INVALID_RUN, f"technique {technique.method} without its quantization settings"
        )
    return lora.attach(model, technique, head)
