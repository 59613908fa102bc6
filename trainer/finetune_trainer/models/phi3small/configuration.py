"""Phi-3-small's numbers, under the names that the checkpoints' config.json uses.

Not here: what is made of them (`model.py`, `attention.py`).
"""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import PreTrainedConfig

LONG_ROPE = ("su", "longrope")
"""What checkpoints for 128k tokens call the scaling of their rotary embedding, early ones first."""


class Phi3SmallConfig(PreTrainedConfig):
    """Defaults are those of microsoft/Phi-3-small-8k-instruct."""

    model_type = "phi3small"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]
    attribute_map: ClassVar[dict[str, str]] = {
        "intermediate_size": "ff_intermediate_size",
        "logits_scaling": "mup_width_multiplier",  # what TRL's fused head divides logits by
    }
    ignore_keys_at_rope_validation: ClassVar[set[str]] = {"short_mscale", "long_mscale", "type"}

    vocab_size: int = 100352
    hidden_size: int = 4096
    ff_intermediate_size: int = 14336
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 8
    max_position_embeddings: int = 8192
    original_max_position_embeddings: int = 8192
    rope_embedding_base: float = 1_000_000
    rope_position_scale: float = 1.0
    rope_parameters: dict[str, Any] | None = None
    hidden_act: str = "gegelu"
    gegelu_limit: float = 20.0
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    embedding_dropout_prob: float = 0.1
    attention_dropout_prob: float = 0.0
    ffn_dropout_prob: float = 0.1
    mup_use_scaling: bool = True
    mup_attn_multiplier: float = 1.0
    mup_embedding_multiplier: float = 10.0
    mup_width_multiplier: float = 8.0
    blocksparse_block_size: int = 64
    blocksparse_num_local_blocks: int = 16
    blocksparse_vert_stride: int = 8
    blocksparse_homo_head_pattern: bool = False
    dense_attention_every_n_layers: int = 2
    dummy_token_indices: list[int] | None = None
    use_cache: bool = True
    tie_word_embeddings: bool = True
    bos_token_id: int | None = 100257
    eos_token_id: int | list[int] | None = 100257
    pad_token_id: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Bring the scaling of positions, named differently over time, into transformers' one form."""
        given = kwargs.pop("rope_scaling", None) or self.rope_parameters or {}
        kind = given.get("rope_type", given.get("type", "default"))
        self.rope_parameters = {**given, "rope_type": "longrope" if kind in LONG_ROPE else kind}
        kwargs.setdefault("rope_theta", float(self.rope_embedding_base))
        super().__post_init__(**kwargs)

    @property
    def head_dim(self) -> int:
        """Give the width of a head."""
        return self.hidden_size // self.num_attention_heads

    def attends_densely(self, layer: int) -> bool:
        """Tell whether a layer sees all earlier tokens; the others see blocks of them."""
        every = self.dense_attention_every_n_layers
        return bool(every) and (layer + 1) % every == 0
