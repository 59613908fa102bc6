"""The whole model on the first process again, after a training in which each held a part.

What was trained is collected and put into a model loaded anew: one that went through ZeRO-3 stays entangled with it.

Not here: what is made of the model (`export/`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from finetune_trainer.contract import TrainerRun
from finetune_trainer.distributed import engines
from finetune_trainer.distributed.world import World


def gather(trainer: Any, run: TrainerRun, *, world: World, rebuild: Callable[[], Any]) -> None:
    """Give the first process a trainer with a whole, plain model; `rebuild` makes it as it was before training.

    All processes have to call it.
    """
    if not engines.is_sharded(run.distribution):
        return
    engines.settle(trainer)
    trained = {
        name: value
        for name, parameter in trainer.model.named_parameters()
        if parameter.requires_grad and (value := _whole(parameter, keep=world.is_first)) is not None
    }
    trained |= {name: value.detach().cpu() for name, value in trainer.model.named_buffers()}
    if not world.is_first:
        return
    _forget_sharding(trainer)
    plain = rebuild()
    names = plain.state_dict().keys()
    plain.load_state_dict({name: value for name, value in trained.items() if name in names}, strict=False)
    trainer.model = trainer.model_wrapped = plain


def _whole(parameter: Any, *, keep: bool) -> torch.Tensor | None:
    if hasattr(parameter, "full_tensor"):
        value = parameter.full_tensor()
        return value.detach().cpu() if keep else None
    import deepspeed

    with deepspeed.zero.GatheredParameters([parameter]):
        return parameter.detach().cpu().clone() if keep else None


def _forget_sharding(trainer: Any) -> None:
    """Let models be loaded whole again, and the engine go."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()
    trainer.optimizer = trainer.deepspeed = None
    trainer.accelerator.free_memory()
