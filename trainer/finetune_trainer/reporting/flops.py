"""How many operations a model needs for what it is trained on.

By the usual count: for each token 2 a weight forward, 2 for the gradients of activations, 2 for those of the weights
that learn, and attention. What is computed a second time to save memory is left out: utilization means useful work.

Not here: what the hardware could do (the operator's catalog knows and says so in the run file).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PASSES = 4
"""Operations a weight and token that all weights need; those that learn need two more."""

ATTENTION = 12
"""Operations a layer, token, position and unit of width, forward and backward."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Operations by what they grow with."""

    per_token: float
    per_token_and_position: float

    def of(self, tokens: float, rows: float) -> float:
        """Return the operations for so many tokens in so many rows."""
        positions = tokens / rows if rows else 0.0
        return tokens * (self.per_token + positions * self.per_token_and_position)


def cost(model: Any, trainable: int, total: int) -> Cost:
    """Return the cost of training a model with so many parameters; those that are only looked up multiply nothing."""
    multiplying = total - _looked_up(model)
    config = getattr(model, "config", None)
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    depth, width = getattr(config, "num_hidden_layers", 0), getattr(config, "hidden_size", 0)
    return Cost(PASSES * multiplying + 2.0 * min(trainable, multiplying), float(ATTENTION * depth * width))


def _looked_up(model: Any) -> int:
    """Count the weights of the input embedding, unless the same weights are the output layer too."""
    embedding = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    if embedding is None or not hasattr(embedding, "weight"):
        return 0
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    tied = head is not None and getattr(head, "weight", None) is embedding.weight
    return 0 if tied else int(embedding.weight.numel())
