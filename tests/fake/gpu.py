"""Makes fake CPU tensors take a GPU's path through PyTorch, where the two differ in memory.

Fake tensors live on the CPU: autograd cannot run for CUDA without a driver. The differences, and what is done:

- Attention. A CPU has its own flash kernel. Here the CUDA operators are called: flash attention without a mask, and the
  memory-efficient kernel with one, for which a boolean mask becomes a bias of the query's type, kept once per layer.
  In fp32 there is no flash kernel, and grouped heads fall back to plain products, which keep the scores.
- Inside of the backward of those kernels a GPU holds an fp32 accumulator for the query's gradient, and, for grouped
  heads, expanded gradients of key and value. `held_inside` adds them.
- Dropout. A CPU keeps a mask in the type of the input, a GPU one byte per value.
- Autocast. PEFT asks whether it is on for CUDA: here that is the CPU's. A GPU also lifts layer norm, pow, softmax and
  losses to fp32; a CPU's lists are shorter.
- Masks. transformers looks at values to see whether rows are packed or padded, which fake tensors have not: here
  nothing is packed, and rows are padded if there is a mask.
- TRL's fused head. The Triton kernels, which work in place on a tile of logits, become no-ops, and the product that
  accumulates in fp32 writes to its result without a copy, as on a GPU. The choice of the positions that have a label
  depends on values: here every position has one, which is the most memory it can take.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
import transformers.masking_utils
import trl.kernels.chunked_logprob as fused_head
from torch.nn import functional

FLASH_ROWS = 128
FLASH_COLUMNS = 32


def attention(  # noqa: PLR0913  # PyTorch's own signature
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    *,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Do as `scaled_dot_product_attention` does on a GPU."""
    if torch.is_autocast_enabled("cpu"):
        half = torch.get_autocast_dtype("cpu")
        query, key, value = (each.to(half) for each in (query, key, value))
    aten = torch.ops.aten
    if attn_mask is None and query.dtype == torch.bfloat16:
        return aten._scaled_dot_product_flash_attention(query, key, value, dropout_p, is_causal, scale=scale)[0]
    if enable_gqa:
        options = {"scale": scale, "enable_gqa": True}
        return aten._scaled_dot_product_attention_math(query, key, value, None, dropout_p, is_causal, **options)[0]
    bias = None if attn_mask is None else _bias(attn_mask, query, key)
    efficient = aten._scaled_dot_product_efficient_attention
    return efficient(query, key, value, bias, True, dropout_p, is_causal, scale=scale)[0]


def _bias(mask: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    if mask.dtype == torch.bool:
        bias = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(mask.logical_not(), -math.inf)
    else:
        bias = mask.to(query.dtype)
    return bias.expand(*query.shape[:3], key.shape[2])


def dropout(values: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:  # noqa: FBT001, FBT002
    """Do as `dropout` does on a GPU: a mask of one byte per value."""
    return torch.native_dropout(values, p, True)[0] if training and p > 0 else values


def held_inside(operation: Any, arguments: tuple[Any, ...]) -> int:
    """Return the bytes that a GPU's kernel holds while it runs, beside its inputs and results."""
    aten = torch.ops.aten
    if operation is aten._scaled_dot_product_flash_attention_backward.default:
        _gradient, query, key = arguments[:3]
        batch, heads, length, width = query.shape
        rows, columns = _up(length, FLASH_ROWS), _up(width, FLASH_COLUMNS)
        held = 4 * batch * heads * rows * (columns + 1)
        if key.shape[1] != heads:
            held += 2 * batch * key.shape[2] * heads * width * key.element_size()
        return held
    if operation is aten._scaled_dot_product_efficient_attention_backward.default:
        return 4 * arguments[1].numel()
    return 0


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


LIFTED = {
    functional: (
        "layer_norm",
        "group_norm",
        "softmax",
        "log_softmax",
        "cross_entropy",
        "nll_loss",
        "mse_loss",
        "softplus",
    ),
    torch: ("pow", "rsqrt", "exp", "log", "norm", "sum", "cumsum"),
    torch.linalg: ("norm", "vector_norm"),
    torch.Tensor: ("pow", "__pow__", "rsqrt", "exp", "log", "norm", "sum", "cumsum"),
}
"""What CUDA's autocast computes in fp32 and the CPU's does not."""


def _lifted(function: Any) -> Any:
    """Return the function as CUDA's autocast runs it."""

    def lifted(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_autocast_enabled("cpu"):
            return function(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            return function(*map(_lift, args), **{name: _lift(value) for name, value in kwargs.items()})

    return lifted


def _lift(value: Any) -> Any:
    return value.float() if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16 else value


class _InPlace:
    """A Triton kernel that changes its arguments and makes no tensors."""

    def __getitem__(self, _grid: Any) -> Any:
        return lambda *_arguments, **_options: None


@contextlib.contextmanager
def like_a_gpu() -> Iterator[None]:
    """Replace what differs, for as long as the context lasts."""
    autocasts = torch.is_autocast_enabled
    changes = [
        (transformers.masking_utils, "find_packed_sequence_indices", lambda _positions: None),
        (functional, "scaled_dot_product_attention", attention),
        (functional, "dropout", dropout),
        (torch, "is_autocast_enabled", lambda device="cpu": autocasts(device)),
        (fused_head, "_use_triton", lambda _device: True),
        (fused_head, "_forward_kernel", _InPlace()),
        (fused_head, "_backward_kernel", _InPlace()),
        (fused_head, "_addmm_fp32", lambda _sum, _left, _right: None),
    ]
    changes += [(owner, name, _lifted(getattr(owner, name))) for owner, names in LIFTED.items() for name in names]
    with contextlib.ExitStack() as stack:
        for owner, name, new in changes:
            stack.enter_context(mock.patch.object(owner, name, new))
        yield
