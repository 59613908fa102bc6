"""Adapter and model made one, with the difference that it makes to the answers.

Not here: saving it (`artifacts.py`).
"""

from __future__ import annotations

import gc
from typing import Any

from finetune_trainer.adapters.attaching import TASK_TYPES
from finetune_trainer.contract import TrainerRun
from finetune_trainer.models import loading
from finetune_trainer.process import memory


def merge(model: Any, run: TrainerRun) -> Any:
    """Add the adapter to its base; quantized weights cannot take it, so they are loaded again in full precision."""
    if run.technique.quantization is None:
        return model.merge_and_unload(safe_merge=True)
    return _merge_into_unquantized(model, run)


def note(run: TrainerRun, largest: float) -> str:
    """Say how far a merged model is from the one that was measured, where quantization makes them differ."""
    quantization = run.technique.quantization
    if quantization is None:
        return ""
    return (
        f"merged: the adapter learnt beside {quantization.type} weights and was added to unquantized ones, which moves "
        f"logits by up to {largest:.2g}"
    )


def _merge_into_unquantized(model: Any, run: TrainerRun) -> Any:
    from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

    config = model.peft_config["default"]
    state = {name: weight.detach().cpu() for name, weight in get_peft_model_state_dict(model).items()}
    head = next(head for head, kind in TASK_TYPES.items() if kind == config.task_type)
    plain = _plain_config(model)
    release(model)
    fresh = loading.load_weights(loading.locate(run), head, dtype=run.training.precision, config=plain)
    merged = PeftModel(fresh, config)
    set_peft_model_state_dict(merged, state)
    return merged.merge_and_unload(safe_merge=True)


def release(model: Any) -> None:
    """Give back a model's memory: others still hold the object, but nobody needs its weights any more.

    What follows needs it in another process.
    """
    import torch

    for each in (*model.parameters(), *model.buffers()):
        each.data = torch.empty(0, dtype=each.dtype)
        each.grad = None
    gc.collect()
    memory.give_back()


def _plain_config(model: Any) -> Any:
    config = type(model.config).from_dict(model.config.to_dict())
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    return config
