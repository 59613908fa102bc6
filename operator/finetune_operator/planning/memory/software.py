"""How software that trains computes, by its name: facts of its code and its documentation, never of what was measured.

A figure that was published with other software is planned again with its stack; the traits are `workload.Stack`'s.

Not here: what follows from them (the other modules of `planning.memory`), how a run was started (a job's fields).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import replace

from finetune_operator.api.v1alpha1.technique import Method
from finetune_operator.planning.memory.workload import TRAINER, Loading, Loss, Measured, Stack


class Software(enum.StrEnum):
    """Software with traits of its own."""

    TRL = "trl"
    TRANSFORMERS = "transformers"
    TRANSFORMERS_444 = "transformers-4.44"
    AXOLOTL = "axolotl"
    LLAMAFACTORY = "llamafactory"
    UNSLOTH = "unsloth"
    LITGPT = "litgpt"
    TORCHTUNE = "torchtune"
    FSDP_QLORA = "fsdp-qlora"
    QWEN = "qwen"


_TRANSFORMERS = Stack(loss=Loss.FULL)
_BEFORE_445 = Stack(loss=Loss.SHIFTED)

STACKS: Mapping[Software, Stack] = {
    # TRL >= 1.16: SFTTrainer's fused head; PEFT's adapters in fp32 under autocast. It is what this project trains with.
    Software.TRL: TRAINER,
    # transformers >= 4.45 with its Trainer, or accelerate's autocast: a model's own loss over fp32 logits.
    Software.TRANSFORMERS: _TRANSFORMERS,
    # Before 4.45 the shifted logits were made contiguous, in fp32.
    Software.TRANSFORMERS_444: _BEFORE_445,
    # Its fused losses are plugins that a config asks for: pin loss=fused then.
    Software.AXOLOTL: _TRANSFORMERS,
    # Its table is of 2023 and 2024, on transformers before 4.45.
    Software.LLAMAFACTORY: _BEFORE_445,
    # Its loss goes through the logits in chunks.
    Software.UNSLOTH: Stack(loss=Loss.FUSED),
    # Everything in bf16 ("bf16-true"), a LoRA of its own, torch's GELU; bitsandbytes 0.41; each rank builds the whole
    # model before FSDP divides it; its own loss over whole logits.
    Software.LITGPT: Stack(
        loss=Loss.FULL,
        autocast=False,
        adapter_bytes=2,
        fused_activation=True,
        keeps_inputs=True,
        loading=Loading.WHOLE,
    ),
    # Everything in bf16 without autocast; loss over whole logits unless a recipe chunks it (pin loss=chunked); its
    # tables tell the peak of active memory.
    Software.TORCHTUNE: Stack(
        loss=Loss.FULL, autocast=False, adapter_bytes=2, fused_activation=True, measured=Measured.ACTIVE
    ),
    # Answer.AI's script: bf16 without autocast, on transformers before 4.45, 4-bit weights divided by FSDP.
    Software.FSDP_QLORA: replace(_BEFORE_445, autocast=False, adapter_bytes=2, shards_quantized=True),
    # finetune.py with the model's own code: adapters in 16 bits, logits left to autocast (which DeepSpeed is without).
    Software.QWEN: replace(_BEFORE_445, adapter_bytes=2, lifts_logits=False),
}

STARTS_DEEPSPEED: Mapping[Software, Mapping[Method, int]] = {
    # finetune/finetune_ds.sh and finetune_qlora_single_gpu.sh of QwenLM/Qwen name DeepSpeed's configuration
    Software.QWEN: {Method.FULL: 3, Method.QLORA: 2},
}
"""Software whose scripts start DeepSpeed even on one device, which its tables have as no strategy at all: the stage by
method. It keeps fp32 weights and moments beside 16-bit ones, without autocast."""

QUERY_AND_VALUE = frozenset({Software.TRANSFORMERS, Software.TRANSFORMERS_444})
"""Software that leaves an adapter's targets to PEFT, which takes query and value where nothing is said."""
