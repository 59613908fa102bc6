"""What PEFT has and a job cannot use: why, and what to take instead.

Not here: what can be used (`finetune_operator.api.v1alpha1.technique`, `finetune_trainer.adapters.peft_types`).
"""

from __future__ import annotations

import types
from collections.abc import Mapping

NO_MEMORY_MODEL = "its memory is not planned yet"

UNUSABLE_PEFT_TYPES: Mapping[str, str] = types.MappingProxyType(
    {
        "adamss": f"{NO_MEMORY_MODEL}; take adalora",
        "adaption-prompt": "PEFT has it for llama, mistral and gpt2 models alone, Phi-3 not among them; "
        "take prefix-tuning",
        "beft": f"{NO_MEMORY_MODEL}; take ln-tuning, as small",
        "cartridge": "it is distilled from a long text before training, for which a job has no step; "
        "take prefix-tuning",
        "cpt": "it wants the tokens of examples and their roles as lists, which options cannot say; take prompt-tuning",
        "deft": f"{NO_MEMORY_MODEL}; take delora",
        "frod": f"{NO_MEMORY_MODEL}; take fourierft",
        "glora": f"{NO_MEMORY_MODEL}; take method: lora",
        "lily": f"{NO_MEMORY_MODEL}; take randlora",
        "lora": "it is a method of its own; set method: lora, qlora, dora or qdora",
        "multitask-prompt-tuning": "it learns from several tasks at once, and a job has one; take prompt-tuning",
        "osf": "it keeps each matrix as its singular vectors, about twice its size, to learn tasks one after another; "
        "take method: full, or lora",
        "peanut": f"{NO_MEMORY_MODEL}; take method: lora",
        "poly": "it mixes adapters by the task of each row, and a job has one task; take method: lora",
        "psoft": f"{NO_MEMORY_MODEL}; take oft",
        "pvera": f"{NO_MEMORY_MODEL}; take vera",
        "shadow": f"it trains a second network beside the model, and {NO_MEMORY_MODEL}; take method: lora",
        "supertuning": f"{NO_MEMORY_MODEL}; take shira, as sparse",
        "tinylora": f"{NO_MEMORY_MODEL}; take vblora, as small",
        "unilora": f"{NO_MEMORY_MODEL}; take vblora, as small",
        "xlora": "it mixes adapters that were trained before, and a job starts from one; take method: lora",
    }
)
"""By PEFT's `peft_type` in lower case with dashes; with those that can be used, all that the library has."""
