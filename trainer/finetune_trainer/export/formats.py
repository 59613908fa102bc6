"""Which formats a run can deliver: what cannot be is refused before anything is spent on it.

Not here: making them (`artifacts.py`).
"""

from __future__ import annotations

from typing import Any

from finetune_trainer.adapters.peft_types import PROMPTS
from finetune_trainer.contract import FailureReason, TechniqueSettings, TrainerRun
from finetune_trainer.models.heads import CAUSAL_LM
from finetune_trainer.process.failures import TrainerFailure

ADAPTER, MERGED, ONNX = "adapter", "merged", "onnx"

BUILDABLE = frozenset(
    (
        *("Ernie4_5ForCausalLM", "Gemma2ForCausalLM", "Gemma3ForCausalLM", "GemmaForCausalLM", "GptOssForCausalLM"),
        *("GraniteForCausalLM", "HunYuanDenseV1ForCausalLM", "Lfm2ForCausalLM", "LlamaForCausalLM"),
        *("MistralForCausalLM", "NemotronForCausalLM", "OlmoForCausalLM", "Phi3ForCausalLM", "PhiForCausalLM"),
        *("PhiMoEForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM", "SmolLM3ForCausalLM"),
    )
)
"""Language models that the builder of onnxruntime-genai 0.18 writes (its `create_model`)."""


def check(run: TrainerRun, model: Any, head: str) -> None:
    """Look for formats that this model and technique cannot be delivered in.

    Raises:
        TrainerFailure: InvalidRun.
    """
    for name in run.output.formats:
        if name not in {ADAPTER, MERGED, ONNX}:
            raise _refused(f"{name} is not known to this trainer: {ADAPTER}, {MERGED}, {ONNX}")
        if name != ADAPTER and (reason := _unmergeable(run.technique)):
            raise _refused(f"{name}: {reason}; set adapter")
    kind = type(model).__name__
    if ONNX in run.output.formats and head == CAUSAL_LM and kind not in BUILDABLE:
        raise _refused(f"{ONNX}: onnxruntime-genai has no builder for {kind}; set {MERGED}")


def _unmergeable(technique: TechniqueSettings) -> str | None:
    """Tell why the adapter cannot become part of the weights."""
    if technique.peft and technique.peft.type in PROMPTS:
        return f"{technique.peft.type} learns an input of the model, which is no weight"
    if technique.lora and technique.lora.variant == "loftq":
        return "loftq makes up for what quantization lost, which unquantized weights have"
    return None


def _refused(message: str) -> TrainerFailure:
    return TrainerFailure(FailureReason.INVALID_RUN, f"output.formats: {message}")
