"""What an inspection is asked and what it answers: the numbers of a model's config.json, before anything is planned."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from finetune_trainer.contract.run import SCHEMA_VERSION

MODEL_CONFIG = "config.json"
"""The file of a model that tells its numbers."""

MODEL_CONFIG_KEYS = frozenset(
    {
        *("model_type", "tie_word_embeddings", "vocab_size", "type_vocab_size"),
        *("hidden_size", "n_embd", "n_embed", "d_model", "dim"),
        *("embedding_size", "word_embed_proj_dim"),
        *("num_hidden_layers", "n_layer", "num_layers", "n_layers", "encoder_layers"),
        *("num_decoder_layers", "decoder_layers"),
        *("num_attention_heads", "n_head", "num_heads", "n_heads", "encoder_attention_heads"),
        *("num_key_value_heads", "num_kv_heads"),
        *("head_dim", "d_kv", "multi_query", "new_decoder_architecture"),
        *("intermediate_size", "n_inner", "d_ff", "ffn_dim", "ff_intermediate_size", "ffn_hidden_size"),
        *("hidden_dim", "encoder_ffn_dim", "expansion_ratio"),
        *("feed_forward_proj", "parallel_attn", "num_ln_in_parallel_attn"),
        *("max_position_embeddings", "seq_length", "n_positions", "max_sequence_length", "max_seq_len"),
        *("relative_attention", "position_buckets", "position_biased_input"),
        *("sliding_window", "use_sliding_window"),
        *("bias", "attention_bias", "use_qkv_bias"),
        *("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"),
    }
)
"""The keys that a plan is made from. What else a config.json holds stays where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionRun:
    """Where to look: `folder` holds the model's files, `termination_log` takes the answer."""

    schema_version: int
    folder: str
    termination_log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionReport:
    """The answer: `config` holds those of `MODEL_CONFIG_KEYS` that are set, or `problem` says why there is none.

    Values are as in the file; a list or an object is its JSON as a text, cut off where it is long.
    `problem` goes on after the name of the file: "does not exist".
    """

    schema_version: int = SCHEMA_VERSION
    config: dict[str, str | int | float | bool] = dataclasses.field(default_factory=dict)
    problem: str | None = None
