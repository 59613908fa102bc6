"""The techniques by name.

Not here: how one works (its own module).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from finetune_trainer.adapters import adalora, attaching, eva, full, lora, peft_types, prompts, qlora
from finetune_trainer.contract import FailureReason, TechniqueSettings, TrainerRun
from finetune_trainer.process.failures import TrainerFailure

METHODS: Mapping[str, Callable[[Any, TechniqueSettings, str], Any]] = {
    "full": full.attach,
    "lora": lora.attach,
    "qlora": qlora.attach,
    "dora": lora.attach,
    "qdora": qlora.attach,
    "peft": peft_types.attach,
}

PROMPTS = frozenset({"PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING"})
NOISY = frozenset({"VBLORA"})
"""Adapters of weights that change the model before the first step."""


def attach(model: Any, run: TrainerRun, head: str) -> Any:
    """Make the part of the model trainable that the technique trains.

    Raises:
        TrainerFailure: InvalidRun.
    """
    technique = run.technique
    method = METHODS.get(technique.method)
    if method is None:
        message = f"technique.method {technique.method!r} is not supported by this trainer: {', '.join(METHODS)}"
        raise TrainerFailure(FailureReason.INVALID_RUN, message)
    if run.training.gradient_checkpointing and technique.peft and technique.peft.type == "prefix-tuning":
        message = "training.gradientCheckpointing: it throws away the keys and values of prefix-tuning; set false"
        raise TrainerFailure(FailureReason.INVALID_RUN, message)
    adapted = method(model, technique, head)
    if run.model.adapter:
        attaching.take_up(adapted, run)
    trainable, total = parameters(adapted)
    name = technique.peft.type if technique.peft else technique.method
    print(f"{name}: {trainable:,} of {total:,} parameters are trained ({trainable / total:.2%})")
    return adapted


def begin(model: Any, technique: TechniqueSettings, batches: Iterable[Any]) -> None:
    """Let an adapter that starts from the rows look at them, before the first step of a run."""
    if technique.lora and technique.lora.variant == "eva":
        eva.begin(model, batches)


def callbacks(model: Any, resumed: Path | None) -> list[Any]:
    """Make what an adapter must do between steps; `resumed` is the checkpoint that the run goes on from."""
    kind = _peft_type(model)
    if kind == "ADALORA":
        return [adalora.AllocateRanks(model, resumed)]
    return [prompts.KeepPrompts(model, resumed)] if kind in PROMPTS else []


def restore(model: Any, checkpoint: Path) -> None:
    """Take from a checkpoint what PEFT leaves out of it."""
    if _peft_type(model) in PROMPTS:
        prompts.take(model, checkpoint)


def untouched(model: Any) -> contextlib.AbstractContextManager[Any]:
    """Show the model as it came, for as long as the context lasts, where the adapter starts from noise.

    An adapter that was taken up from another job is part of what came.
    """
    kind = _peft_type(model)
    if getattr(model, "taken_up", False):
        return contextlib.nullcontext()
    if kind in PROMPTS:
        return prompts.left_out(model)
    return model.disable_adapter() if kind in NOISY else contextlib.nullcontext()


def _peft_type(model: Any) -> str | None:
    configs = getattr(model, "peft_config", None)
    return str(configs["default"].peft_type.value) if configs else None


def parameters(model: Any) -> tuple[int, int]:
    """Count trainable and all parameters; 4-bit weights, two to a byte, count as what they stand for."""
    if hasattr(model, "get_nb_trainable_parameters"):
        trainable, total = model.get_nb_trainable_parameters()
        return int(trainable), int(total)
    counts = [(each.numel(), each.requires_grad) for each in model.parameters()]
    return sum(count for count, trained in counts if trained), sum(count for count, _trained in counts)
