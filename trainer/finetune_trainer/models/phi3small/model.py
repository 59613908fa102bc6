"""Phi-3-small: its layers, the stack of them, and the heads that the trainer knows.

Not here: attention (`attention.py`).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_layers import (
    GenericForSequenceClassification,
    GenericForTokenClassification,
    GradientCheckpointingLayer,
)
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import slice_logits_to_keep
from transformers.utils import can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from finetune_trainer.models.phi3small.attention import Phi3SmallSelfAttention, masks, rotary_embeddings
from finetune_trainer.models.phi3small.configuration import Phi3SmallConfig

GELU_SLOPE = 1.702


def gegelu(both: torch.Tensor, limit: float) -> torch.Tensor:
    """Gate: even columns through a quick GELU, times one more than the odd columns, both clipped; infinities stay."""
    gate, linear = both[..., ::2], both[..., 1::2]
    gate = torch.where(gate.isinf(), gate, gate.clamp(max=limit))
    linear = torch.where(linear.isinf(), linear, linear.clamp(min=-limit, max=limit))
    return gate * torch.sigmoid(GELU_SLOPE * gate) * (linear + 1)


class Phi3SmallMLP(nn.Module):
    """Up, gate, down."""

    def __init__(self, config: Phi3SmallConfig) -> None:
        super().__init__()
        self.limit = config.gegelu_limit
        self.up_proj = nn.Linear(config.hidden_size, 2 * config.ff_intermediate_size)
        self.down_proj = nn.Linear(config.ff_intermediate_size, config.hidden_size)
        self.dropout = nn.Dropout(config.ffn_dropout_prob)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Transform each token by itself."""
        return self.dropout(self.down_proj(gegelu(self.up_proj(hidden_states), self.limit)))


class Phi3SmallDecoderLayer(GradientCheckpointingLayer):
    """Attention, then MLP, each behind a norm and beside what it reads."""

    def __init__(self, config: Phi3SmallConfig, layer_idx: int) -> None:
        super().__init__()
        self.self_attn = Phi3SmallSelfAttention(config, layer_idx)
        self.mlp = Phi3SmallMLP(config)
        self.input_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)

    def forward(self, hidden_states: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        """Pass through the layer."""
        attended, _weights = self.self_attn(self.input_layernorm(hidden_states), **kwargs)
        hidden_states = hidden_states + attended
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states))


class Phi3SmallPreTrainedModel(PreTrainedModel):
    """What all heads share."""

    config_class = Phi3SmallConfig
    config: Phi3SmallConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["Phi3SmallDecoderLayer"]
    _skip_keys_device_placement: ClassVar[list[str]] = ["past_key_values"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"rotary_emb\."]
    _supports_sdpa = True  # flash attention takes no mask, so it cannot be block-sparse
    _supports_attention_backend = False
    _can_record_outputs: ClassVar[dict[str, Any]] = {
        "hidden_states": Phi3SmallDecoderLayer,
        "attentions": Phi3SmallSelfAttention,
    }


class Phi3SmallModel(Phi3SmallPreTrainedModel):
    """Embedding, layers, and a last norm."""

    def __init__(self, config: Phi3SmallConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout_prob)
        self.layers = nn.ModuleList([Phi3SmallDecoderLayer(config, index) for index in range(config.num_hidden_layers)])
        self.final_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.gradient_checkpointing = False
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(  # noqa: PLR0913, PLR0917 - transformers' signature
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,  # noqa: FBT001
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Turn tokens into hidden states."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give input_ids or inputs_embeds, one of them")
        embedded = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            seen = past_key_values.get_seq_length() if past_key_values is not None else 0
            position_ids = (torch.arange(embedded.shape[1], device=embedded.device) + seen)[None]
        dense, sparse = masks(
            self.config, embedded, attention_mask, past_key_values=past_key_values, position_ids=position_ids
        )
        rotary = rotary_embeddings(self.config, position_ids, embedded.dtype)
        hidden_states = self.embedding_dropout(embedded) * (self.config.mup_embedding_multiplier or 1.0)
        for index, layer in enumerate(self.layers):
            hidden_states = layer(
                hidden_states,
                attention_mask=dense if self.config.attends_densely(index) else sparse,
                position_embeddings=rotary,
                past_key_values=past_key_values,
                **kwargs,
            )
        return BaseModelOutputWithPast(
            last_hidden_state=self.final_layernorm(hidden_states),
            past_key_values=past_key_values if use_cache else None,
        )


class Phi3SmallForCausalLM(Phi3SmallPreTrainedModel, GenerationMixin):
    """Predicts the next token, with the embedding's weights as its head."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: Phi3SmallConfig) -> None:
        super().__init__(config)
        self.model = Phi3SmallModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(  # noqa: PLR0913, PLR0917 - transformers' signature
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,  # noqa: FBT001
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Turn tokens into logits, and a loss where there are labels."""
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        kept = slice_logits_to_keep(outputs.last_hidden_state, logits_to_keep)
        logits = self.lm_head(kept) / (self.config.mup_width_multiplier or 1.0)
        if self.config.dummy_token_indices and not self.training:
            never = torch.tensor(self.config.dummy_token_indices, device=logits.device)
            logits = logits.index_fill(-1, never, torch.finfo(logits.dtype).min)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


class Phi3SmallForSequenceClassification(GenericForSequenceClassification, Phi3SmallPreTrainedModel):
    """Gives a text one label, read at its last token."""


class Phi3SmallForTokenClassification(GenericForTokenClassification, Phi3SmallPreTrainedModel):
    """Gives each token a label."""
