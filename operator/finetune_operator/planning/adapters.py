"""How large a LoRA adapter is, from the layers it is attached to.

Not here: the adapter itself (the trainer's), what it is good for (`planning.hyperparameters`).
"""

from __future__ import annotations

from finetune_operator.planning.catalog import ModelKind, ModelShape
from finetune_operator.planning.memory import Adapter

ENCODER_TARGETS = ("query", "value")
"""What the trainer adapts in a BERT-like encoder unless told otherwise."""


def default_targets(shape: ModelShape) -> tuple[str, ...]:
    """Return the layers that get an adapter when the user names none."""
    return ENCODER_TARGETS if shape.kind is ModelKind.ENCODER else ("all-linear",)


def adapter(shape: ModelShape, rank: int, targets: tuple[str, ...]) -> Adapter:
    """Return the size of an adapter: every adapted matrix of in x out gets rank * (in + out) weights."""
    widths = _adapted(shape, targets)
    saved = sum(width_in + rank for width_in, _width_out in widths)
    return Adapter(
        parameters=shape.layers * sum(rank * (width_in + width_out) for width_in, width_out in widths),
        saved_per_token_and_layer=saved,
    )


def _adapted(shape: ModelShape, targets: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Return in and out width of each adapted matrix of a layer; unknown names count as every linear layer."""
    hidden, inner = shape.hidden, shape.intermediate
    known: dict[str, tuple[tuple[int, int], ...]] = {
        "query": ((hidden, hidden),),
        "q_proj": ((hidden, hidden),),
        "key": ((hidden, shape.kv_width),),
        "k_proj": ((hidden, shape.kv_width),),
        "value": ((hidden, shape.kv_width),),
        "v_proj": ((hidden, shape.kv_width),),
        "o_proj": ((hidden, hidden),),
        "qkv_proj": ((hidden, hidden + 2 * shape.kv_width),),
        "gate_up_proj": ((hidden, 2 * inner),),
        "down_proj": ((inner, hidden),),
    }
    if all(target in known for target in targets):
        return tuple(pair for target in targets for pair in known[target])
    mlp = ((hidden, 2 * inner), (inner, hidden)) if shape.gated else ((hidden, inner), (inner, hidden))
    return ((hidden, hidden + 2 * shape.kv_width), (hidden, hidden), *mlp)
