"""The trainer of a run before its first step, made as the recipe makes it, or as if it had made some."""

from collections.abc import Callable
from typing import Any

from finetune_trainer.contract import TrainerRun


def trainer_of(
    run: TrainerRun, *, template: str | None = None, note: Callable[..., None] = lambda **_facts: None
) -> Any:
    """Load model and rows and let the objective build; a template takes the place of the tokenizer's own."""
    from finetune_trainer.adapters import registry as adapters
    from finetune_trainer.data.load import load_data
    from finetune_trainer.models import loading
    from finetune_trainer.models.heads import QUESTION_ANSWERING
    from finetune_trainer.objectives import registry as objectives
    from finetune_trainer.objectives.arguments import Ingredients

    objective = objectives.of(run)
    data = load_data(run, extractive=objective.head == QUESTION_ANSWERING)
    base = loading.load(run, objective.head, data.labels)
    if template is not None:
        base.tokenizer.chat_template = template or None
    model = adapters.attach(base.model, run, objective.head)
    return objective.build(Ingredients(run=run, model=model, tokenizer=base.tokenizer, data=data, note=note))


def stirred(trainer: Any) -> Any:
    """Move all that learns, as some training would: a new adapter changes nothing. Every process moves it alike."""
    import torch

    torch.manual_seed(1)
    for weight in trainer.model.parameters():
        if weight.requires_grad:
            weight.data += 0.02 * torch.randn_like(weight)
    return trainer
