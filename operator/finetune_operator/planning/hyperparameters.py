"""Values for what the user left open in the training loop, each with its reason.

Not here: what depends on memory (`planning.plan`).
"""

from __future__ import annotations

from finetune_operator.api.v1alpha1.spec import Task
from finetune_operator.api.v1alpha1.technique import Lora, Method
from finetune_operator.planning.catalog import ModelShape

LEARNING_RATES = {Method.FULL: 5e-5, Method.LORA: 1e-3, Method.QLORA: 1e-3}
"""Peak rates. LoRA learns best about ten times above full fine-tuning (Thinking Machines, "LoRA Without Regret")."""

DEFAULT_RANK = 8
ALPHA_PER_RANK = 2
CLASSIFICATION_LENGTH = 128
GENERATION_LENGTH = 512


def learning_rate(method: Method) -> tuple[float, str]:
    """Return the peak learning rate of a method, and why."""
    if method is Method.FULL:
        return LEARNING_RATES[method], "every weight moves, so the usual small rate"
    return LEARNING_RATES[method], "adapters start at zero and need a larger rate than whole models"


def sequence_length(task: Task, shape: ModelShape) -> tuple[int, str]:
    """Return the length at which rows are cut, in tokens, and why."""
    usual = CLASSIFICATION_LENGTH if task is Task.TEXT_CLASSIFICATION else GENERATION_LENGTH
    if shape.max_positions < usual:
        return shape.max_positions, f"the model reads {shape.max_positions} tokens at most"
    return usual, f"usual for {task.value}; longer rows are cut"


def rank(lora: Lora | None) -> int:
    """Return the rank of the adapter."""
    return lora.rank if lora and lora.rank else DEFAULT_RANK


def alpha(lora: Lora | None) -> int:
    """Return the scale of the adapter."""
    return lora.alpha if lora and lora.alpha else ALPHA_PER_RANK * rank(lora)
