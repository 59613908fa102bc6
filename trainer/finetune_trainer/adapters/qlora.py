"""QLoRA: LoRA beside projections whose frozen weights are stored in 4 or 8 bits.

Not here: the quantized load (`models.py`), LoRA's own settings (`lora.py`).
"""

from __future__ import annotations

from typing import Any

import peft

from finetune_trainer.adapters import lora
from finetune_trainer.contract import FailureReason, TechniqueSettings
from finetune_trainer.failures import TrainerFailure


def attach(model: Any, technique: TechniqueSettings, head: str) -> Any:
    """Freeze the quantized weights, lift norms and embeddings to fp32, then attach LoRA.

    Gradient checkpointing is the training loop's business, so PEFT must not switch it on here.
    """
    if technique.quantization is None:
        raise TrainerFailure(FailureReason.INVALID_RUN, "technique qlora without its quantization settings")
    prepared = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    return lora.attach(prepared, technique, head)
