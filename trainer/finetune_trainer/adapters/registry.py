"""The techniques by name.

Not here: how one works (its own module).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from finetune_trainer.adapters import full, lora, qlora
from finetune_trainer.contract import FailureReason, TechniqueSettings
from finetune_trainer.failures import TrainerFailure

METHODS: Mapping[str, Callable[[Any, TechniqueSettings, str], Any]] = {
    "full": full.attach,
    "lora": lora.attach,
    "qlora": qlora.attach,
}


def attach(model: Any, technique: TechniqueSettings, head: str) -> Any:
    """Make the part of the model trainable that the technique trains.

    Raises:
        TrainerFailure: InvalidRun.
    """
    method = METHODS.get(technique.method)
    if method is None:
        message = f"technique.method {technique.method!r} is not supported by this trainer: {', '.join(METHODS)}"
        raise TrainerFailure(FailureReason.INVALID_RUN, message)
    adapted = method(model, technique, head)
    trainable, total = parameters(adapted)
    print(f"{technique.method}: {trainable:,} of {total:,} parameters are trained ({trainable / total:.2%})")
    return adapted


def parameters(model: Any) -> tuple[int, int]:
    """Count trainable and all parameters; 4-bit weights, two to a byte, count as what they stand for."""
    if hasattr(model, "get_nb_trainable_parameters"):
        trainable, total = model.get_nb_trainable_parameters()
        return int(trainable), int(total)
    counts = [(each.numel(), each.requires_grad) for each in model.parameters()]
    return sum(count for count, trained in counts if trained), sum(count for count, _trained in counts)
