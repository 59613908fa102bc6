"""The model to start from, and its shape where the catalog does not know it.

Not here: the catalog (`planning.catalog`), where the files lie (`sources`).
"""

from __future__ import annotations

import typing

from pydantic import ConfigDict, Field

from finetune_operator.api.v1alpha1.model import PATH, ApiModel, maybe, rule, rules, text
from finetune_operator.api.v1alpha1.sources import OBJECT_NAME, REPOSITORY, REVISION, ModelSource, SecretKey


class ModelNumbers(ApiModel):
    """The numbers of a model's config.json from which memory and time are computed."""

    architecture: str = text(
        "architecture by transformers' name: `model_type` of config.json, such as `llama`, `phi3` or `bert`.",
        limit=64,
        pattern=r"^[a-z0-9][a-z0-9._-]*$",
    )
    hidden_size: int = Field(description="hiddenSize of a layer (hidden_size, d_model).", ge=1, le=1_048_576)
    embedding_size: int | None = Field(
        default=None,
        description="embeddingSize is the width of the token table where a projection follows (embedding_size, "
        "word_embed_proj_dim). Unset: hiddenSize.",
        ge=1,
        le=1_048_576,
    )
    layers: int = Field(
        description="layers of the model (num_hidden_layers); of one side of an encoder-decoder.", ge=1, le=10_000
    )
    attention_heads: int = Field(description="attentionHeads of a layer (num_attention_heads).", ge=1, le=65_536)
    key_value_heads: int | None = Field(
        default=None,
        description="keyValueHeads of a layer (num_key_value_heads). Unset: as many as attentionHeads.",
        ge=1,
        le=65_536,
    )
    head_dim: int | None = Field(
        default=None,
        description="headDim is the width of a head (head_dim). Unset: hiddenSize / attentionHeads.",
        ge=1,
        le=65_536,
    )
    intermediate_size: int = Field(
        description="intermediateSize of the MLP (intermediate_size, d_ff).", ge=1, le=4_194_304
    )
    vocabulary_size: int = Field(description="vocabularySize in tokens (vocab_size).", ge=1, le=16_777_216)
    tied_embeddings: bool = Field(
        default=False,
        description="tiedEmbeddings: output and input layer share weights (tie_word_embeddings). Default: false.",
    )
    max_positions: int | None = Field(
        default=None,
        description="maxPositions is the longest sequence in tokens (max_position_embeddings). Unset: not limited.",
        ge=1,
        le=1_073_741_824,
    )
    decoder_layers: int | None = Field(
        default=None,
        description="decoderLayers of an encoder-decoder (num_decoder_layers). Unset: as many as layers.",
        ge=1,
        le=10_000,
    )
    gated: bool | None = Field(
        default=None,
        description="gated: the MLP has a gate beside its first matrix (feed_forward_proj of a T5). "
        "Unset: as the architecture has it.",
    )
    biases: typing.Literal["none", "attention-in", "all"] | None = Field(
        default=None,
        description="biases of the matrices (attention_bias, bias). Unset: as the architecture has them.",
    )
    norms_per_layer: int | None = Field(
        default=None, description="normsPerLayer of the model. Unset: as the architecture has them.", ge=1, le=64
    )
    learned_positions: int | None = Field(
        default=None,
        description="learnedPositions: rows of the learned tables of positions and token types together. "
        "Unset: as the architecture has them.",
        ge=0,
        le=1_073_741_824,
    )
    sliding_window: int | None = Field(
        default=None,
        description="slidingWindow: tokens that attention reaches back (sliding_window). Unset: all.",
        ge=1,
        le=1_073_741_824,
    )


class Shape(ModelNumbers):
    """A model's numbers as the user gives them: copied from its config.json."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.keyValueHeads) || self.attentionHeads % self.keyValueHeads == 0",
                f"{PATH}.keyValueHeads: must divide attentionHeads; copy num_key_value_heads from config.json",
            ),
            rule(
                "has(self.headDim) || self.hiddenSize % self.attentionHeads == 0",
                f"{PATH}.headDim: attentionHeads does not divide hiddenSize; set headDim as config.json has it",
            ),
        )
    )


class Model(ApiModel):
    """The model to start from."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.tokenSecretRef) || !has(self.source) || has(self.source.hub)",
                f"{PATH}.tokenSecretRef: only the hub takes a token; remove it or set source: {{hub: {{}}}}",
            ),
            rule(
                "!has(self.revision) || !has(self.source) || has(self.source.hub)",
                f"{PATH}.revision: only the hub has revisions; remove it or set source: {{hub: {{}}}}",
            ),
        )
    )

    name: str = text(
        "name of the base model: a key of the catalog or a hub id such as `microsoft/Phi-3-mini-4k-instruct`. "
        "The plan takes the model's shape from it, of a model outside the catalog from `shape` or its config.json.",
        limit=200,
        pattern=REPOSITORY,
    )
    revision: str | None = maybe(
        "revision of the model on the hub: branch, tag or commit. Unset: the default branch.",
        limit=100,
        pattern=REVISION,
    )
    source: ModelSource | None = Field(
        default=None, description="source says where the model's files lie. Unset: the hub, under `name`."
    )
    token_secret_ref: SecretKey | None = Field(
        default=None, description="tokenSecretRef holds the hub's access token. Unset: read without one."
    )
    from_job: str | None = maybe(
        "fromJob names a finished FineTuneJob of this namespace; training continues from its adapter. "
        "Unset: from the model as it is.",
        limit=50,
        pattern=OBJECT_NAME,
    )
    shape: Shape | None = Field(
        default=None,
        description="shape of a model that the catalog does not have. Unset: the catalog's, found by `name`; of "
        "another model on a claim it is read from the config.json beside its files.",
    )
