"""The first Qwen, whose modules come with its checkpoints and not with transformers: as much of it as one step needs.

Layers, names and the order of operations are those of the published model with flash attention, which is what its
authors measured with; its own RMSNorm and rotary embedding are spelled out there as they are here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast


class QWenConfig(PreTrainedConfig):
    """The names of the published config.json; `intermediate_size` counts both gates."""

    model_type = "qwen"

    vocab_size: int = 151936
    hidden_size: int = 4096
    intermediate_size: int = 22016
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    tie_word_embeddings: bool = False


class RMSNorm(nn.Module):
    """Computes in fp32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        lifted = hidden.float()
        normed = lifted * torch.rsqrt(lifted.pow(2).mean(-1, keepdim=True) + 1e-6)
        return normed.type_as(hidden) * self.weight


def rotated(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn queries or keys, in fp32."""
    lifted = heads.float()
    first, second = lifted.chunk(2, dim=-1)
    return (lifted * cos + torch.cat((-second, first), dim=-1) * sin).type_as(heads)


class Attention(nn.Module):
    """Queries, keys and values out of one matrix."""

    def __init__(self, config: QWenConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.c_attn = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.c_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        width = hidden.shape[-1]
        together = self.c_attn(hidden).split(width, dim=-1)
        query, key, value = (each.unflatten(-1, (self.heads, -1)) for each in together)
        query, key = rotated(query, cos, sin), rotated(key, cos, sin)
        sides = (each.transpose(1, 2) for each in (query, key, value))
        read = functional.scaled_dot_product_attention(*sides, is_causal=True)
        return self.c_proj(read.transpose(1, 2).contiguous().flatten(2))


class MLP(nn.Module):
    """A gate; the second matrix is the one behind the SiLU."""

    def __init__(self, config: QWenConfig) -> None:
        super().__init__()
        inner = config.intermediate_size // 2
        self.w1 = nn.Linear(config.hidden_size, inner, bias=False)
        self.w2 = nn.Linear(config.hidden_size, inner, bias=False)
        self.c_proj = nn.Linear(inner, config.hidden_size, bias=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.c_proj(self.w1(hidden) * functional.silu(self.w2(hidden)))


class Block(GradientCheckpointingLayer):
    """Attention, then MLP."""

    def __init__(self, config: QWenConfig) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = RMSNorm(config.hidden_size), RMSNorm(config.hidden_size)
        self.attn, self.mlp = Attention(config), MLP(config)

    def forward(self, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        hidden = hidden + self.attn(self.ln_1(hidden), cos, sin)
        return hidden + self.mlp(self.ln_2(hidden))


class QWenPreTrainedModel(PreTrainedModel):
    """What both share."""

    config_class = QWenConfig
    base_model_prefix = "transformer"
    supports_gradient_checkpointing = True
    _supports_sdpa = True


class QWenModel(QWenPreTrainedModel):
    """Embedding, layers and a last norm."""

    def __init__(self, config: QWenConfig) -> None:
        super().__init__(config)
        self.wte = nn.Embedding(config.vocab_size, config.hidden_size)
        self.h = nn.ModuleList([Block(config) for _layer in range(config.num_hidden_layers)])
        self.ln_f = RMSNorm(config.hidden_size)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.wte

    def forward(self, input_ids: torch.Tensor, **_others: Any) -> BaseModelOutputWithPast:
        hidden = self.wte(input_ids)
        length, width = input_ids.shape[1], self.config.hidden_size // self.config.num_attention_heads
        angles = torch.outer(torch.arange(length).float(), 10_000.0 ** -(torch.arange(0, width, 2).float() / width))
        both = torch.cat((angles, angles), dim=-1)[None, :, None]
        cos, sin = both.cos(), both.sin()
        for block in self.h:
            hidden = block(hidden, cos, sin)
        return BaseModelOutputWithPast(last_hidden_state=self.ln_f(hidden))


class QWenLMHeadModel(QWenPreTrainedModel, GenerationMixin):
    """With its head, which has a matrix of its own; the loss is that of TRL's fused head."""

    def __init__(self, config: QWenConfig) -> None:
        super().__init__(config)
        self.transformer = QWenModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.transformer.wte

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head


def register() -> None:
    """Let transformers make it from its `model_type`."""
    AutoConfig.register(QWenConfig.model_type, QWenConfig, exist_ok=True)
    AutoModelForCausalLM.register(QWenConfig, QWenLMHeadModel, exist_ok=True)
