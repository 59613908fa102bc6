"""A model's numbers as the API has them: `read_shape` takes them from a config.json, `described` makes a model of them.

A model that is read and then described is the one that `hf_config.from_config` makes of the same file.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from finetune_operator.api.v1alpha1.pretrained import ModelNumbers
from finetune_operator.planning.catalog import families, hf_config
from finetune_operator.planning.catalog.hf_config import CatalogError
from finetune_operator.planning.catalog.layouts import Layout
from finetune_operator.planning.catalog.shape import Biases, ModelShape

UNLIMITED = 1_048_576
"""Positions of a model that says nothing: the longest that a job can ask for."""

_KEYS = {
    "architecture": "model_type",
    "hiddenSize": "hidden_size",
    "embeddingSize": "embedding_size",
    "layers": "num_hidden_layers",
    "attentionHeads": "num_attention_heads",
    "keyValueHeads": "num_key_value_heads",
    "headDim": "head_dim",
    "intermediateSize": "intermediate_size",
    "vocabularySize": "vocab_size",
    "maxPositions": "max_position_embeddings",
    "decoderLayers": "num_decoder_layers",
    "normsPerLayer": "num_ln_in_parallel_attn",
    "learnedPositions": "max_position_embeddings",
    "slidingWindow": "sliding_window",
}
"""What a field is made of, in the words of most architectures."""


def read_shape(config: Mapping[str, object]) -> ModelNumbers:
    """Return the numbers that a config.json tells.

    Raises:
        CatalogError: one is missing or cannot be, or the model is a mixture of experts.
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise CatalogError("config.json: model_type is missing")
    if families.has_experts(kind):
        raise CatalogError(f"config.json: model_type {kind} has experts, whose memory is not planned")
    model = hf_config.from_config(config)
    if model.heads % model.kv_heads:
        raise CatalogError(
            f"config.json: num_key_value_heads {model.kv_heads} does not divide num_attention_heads {model.heads}"
        )
    try:
        return _shape(model)
    except ValidationError as error:
        first = error.errors()[0]
        key = _KEYS[str(first["loc"][0])]
        raise CatalogError(f"config.json: {key} cannot be {first['input']!r}: {first['msg']}") from error


def _shape(model: ModelShape) -> ModelNumbers:
    halves = 2 if model.layout is Layout.QWEN else 1  # a Qwen of the first kind counts its two gates together
    unused = families.family(model.model_type).unused_positions
    return ModelNumbers(
        architecture=model.model_type,
        hidden_size=model.hidden,
        embedding_size=model.embedding,
        layers=model.layers,
        attention_heads=model.heads,
        key_value_heads=model.kv_heads,
        head_dim=model.head_dim,
        intermediate_size=model.intermediate * halves,
        vocabulary_size=model.vocabulary,
        tied_embeddings=model.tied,
        max_positions=model.max_positions + unused,
        decoder_layers=model.decoder_layers or None,
        gated=model.gated,
        biases=model.biases.value,
        norms_per_layer=model.norms_per_layer,
        learned_positions=model.learned_positions,
        sliding_window=model.sliding_window,
    )


def described(name: str, given: ModelNumbers) -> ModelShape:
    """Return the model of these numbers; what they leave open is as its architecture has it."""
    said = {
        "embedding": given.embedding_size,
        "kv_heads": given.key_value_heads,
        "decoder_layers": given.decoder_layers,
        "gated": given.gated,
        "biases": given.biases and Biases(given.biases),
        "norms_per_layer": given.norms_per_layer,
        "learned_positions": given.learned_positions,
        "sliding_window": given.sliding_window,
    }
    model = hf_config.from_config(_as_config(name, given))
    return model.model_copy(update={field: value for field, value in said.items() if value is not None})


def _as_config(name: str, given: ModelNumbers) -> dict[str, object]:
    """Write the numbers as a config.json would."""
    config: dict[str, object] = {
        "_name_or_path": name,
        "model_type": given.architecture,
        "hidden_size": given.hidden_size,
        "num_hidden_layers": given.layers,
        "num_attention_heads": given.attention_heads,
        "num_key_value_heads": given.key_value_heads or given.attention_heads,
        "intermediate_size": given.intermediate_size,
        "vocab_size": given.vocabulary_size,
        "tie_word_embeddings": given.tied_embeddings,
        "max_position_embeddings": given.max_positions or UNLIMITED,
    }
    return config | ({"head_dim": given.head_dim} if given.head_dim else {})
