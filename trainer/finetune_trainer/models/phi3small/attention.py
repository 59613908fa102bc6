"""Phi-3-small's attention: grouped heads in one projection, rotary positions, and every other layer block-sparse.

A block-sparse layer lets a token see the last blocks before it and, of those further back, each eighth; heads start to
count at different blocks, so that together they see everything. Here that is a mask, which any kernel takes.

Not here: what surrounds it (`model.py`).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformers.cache_utils import Cache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.phi3.modeling_phi3 import apply_rotary_pos_emb, eager_attention_forward

from finetune_trainer.models.phi3small.configuration import Phi3SmallConfig


class Phi3SmallSelfAttention(nn.Module):
    """Names are the checkpoint's: `query_key_value` holds `[q .. q, k, v]` for one key-value head after the other."""

    def __init__(self, config: Phi3SmallConfig, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.head_dim = config.head_dim
        self.num_key_value_groups = config.num_attention_heads // config.num_key_value_heads
        multiplier = config.mup_attn_multiplier
        self.scaling = multiplier / self.head_dim if config.mup_use_scaling else 1 / math.sqrt(self.head_dim)
        self.is_causal = True
        width = (config.num_attention_heads + 2 * config.num_key_value_heads) * self.head_dim
        self.query_key_value = nn.Linear(config.hidden_size, width)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        hidden_states: torch.Tensor,
        *,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        attention_mask: torch.Tensor | None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend."""
        batch, length, _width = hidden_states.shape
        grouped = self.query_key_value(hidden_states).view(
            batch, length, -1, self.num_key_value_groups + 2, self.head_dim
        )
        query = grouped[..., :-2, :].flatten(2, 3).transpose(1, 2)
        key, value = (grouped[..., place, :].transpose(1, 2) for place in (-2, -1))
        query, key = apply_rotary_pos_emb(query, key, *position_embeddings)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)  # noqa: SLF001 - transformers' own way
        dropout = self.config.attention_dropout_prob if self.training else 0.0
        attended, weights = attend(
            self, query, key, value, attention_mask, dropout=dropout, scaling=self.scaling, **kwargs
        )
        return self.dense(attended.reshape(batch, length, -1)), weights


def rotary_embeddings(
    config: Phi3SmallConfig, positions: torch.Tensor, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines and sines for positions, by batch and token."""
    steps = torch.arange(0, config.head_dim, 2, device=positions.device, dtype=torch.float32)
    wavelengths = config.rope_embedding_base ** (steps / config.head_dim) * config.rope_position_scale
    scale = 1.0
    if config.rope_parameters["rope_type"] == "longrope":
        factors, scale = _long_rope(config, positions)
        wavelengths = wavelengths * torch.tensor(factors, device=positions.device, dtype=torch.float32)
    angles = positions[..., None].float() / wavelengths
    angles = torch.cat((angles, angles), dim=-1)
    return (angles.cos() * scale).to(dtype), (angles.sin() * scale).to(dtype)


def _long_rope(config: Phi3SmallConfig, positions: torch.Tensor) -> tuple[list[float], float]:
    """Return the factors of the wavelengths, and that of the result: others beyond what was first learnt."""
    rope = config.rope_parameters
    original = rope.get("original_max_position_embeddings", config.original_max_position_embeddings)
    which = "long" if int(positions.max()) >= original else "short"
    stretch = config.max_position_embeddings / original
    usual = math.sqrt(1 + math.log(stretch) / math.log(original)) if stretch > 1 else 1.0
    return rope[f"{which}_factor"], rope.get(f"{which}_mscale", usual)


def masks(
    config: Phi3SmallConfig,
    embedded: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    past_key_values: Cache | None,
    position_ids: torch.Tensor,
) -> tuple[Any, Any]:
    """Return the masks of dense and of block-sparse layers: one and the same while all is within the last blocks."""
    words = {"attention_mask": attention_mask, "past_key_values": past_key_values, "position_ids": position_ids}
    dense = create_causal_mask(config, embedded, **words)
    seen = past_key_values.get_seq_length() if past_key_values is not None else 0
    if seen + embedded.shape[1] <= config.blocksparse_num_local_blocks * config.blocksparse_block_size:
        return dense, dense
    causal = create_causal_mask(config, embedded, **words, allow_is_causal_skip=False)
    queries, keys = _positions(attention_mask, position_ids, causal.shape[-1])
    visible = block_sparse(config, queries, keys)
    if causal.dtype is torch.bool:
        return dense, causal & visible
    return dense, causal.masked_fill(~visible, torch.finfo(causal.dtype).min)


def block_sparse(config: Phi3SmallConfig, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Tell which tokens a block-sparse layer sees, whether they are past or not, by batch, head, query and key.

    `queries` and `keys` are positions of tokens, by batch and token.
    """
    block, stride = config.blocksparse_block_size, config.blocksparse_vert_stride
    query_blocks, key_blocks = queries // block, keys // block
    near = query_blocks[:, :, None] - key_blocks[:, None, :] < config.blocksparse_num_local_blocks
    heads = torch.arange(config.num_attention_heads, device=keys.device)
    shift = max(1, stride // config.num_attention_heads)
    offsets = heads * (0 if config.blocksparse_homo_head_pattern else shift)
    striped = (key_blocks[:, None, :] + offsets[None, :, None] + 1) % stride == 0
    return near[:, None] | striped[:, :, None, :]


def _positions(
    attention_mask: torch.Tensor | None, position_ids: torch.Tensor, keys: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Count positions from the first token that is not padding, as blocks are counted."""
    if attention_mask is not None and attention_mask.dim() == 2:  # noqa: PLR2004 - by batch and token
        counted = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)
        return counted[:, -position_ids.shape[-1] :], counted
    if position_ids.shape[-1] == keys:
        return position_ids, position_ids
    return position_ids, torch.arange(keys, device=position_ids.device)[None]
