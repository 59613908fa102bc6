"""What one device computes in one step: everything that its memory and its time follow from, beside the model's shape.

Not here: how it is chosen (`planning.fitting`), the bytes (`planning.memory.device`, `planning.memory.host`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.technique import Method
from finetune_operator.api.v1alpha1.training import Optimizer, Precision


class Attention(enum.StrEnum):
    """How attention is computed: `flash` keeps one number a row and head, `eager` the whole matrix of scores.

    `padded` is what PyTorch does with rows of different lengths: as flash, with a mask, for which heads that share keys
    and values get copies of them.
    """

    FLASH = "flash"
    EAGER = "eager"
    PADDED = "padded"


class Loss(enum.StrEnum):
    """How the loss over the vocabulary is computed.

    `fused` holds the logits of a chunk of positions at a time (TRL's, Liger's); `full` those of every position, in
    fp32 (transformers today); `chunked` those of every position in 16 bits, and a chunk of them in fp32 at a time
    (torchtune's CEWithChunkedOutputLoss); `shifted` another copy of them (transformers before 4.45); `half` none in
    fp32 (models that leave them in 16 bits, without autocast); `none` is for heads without a vocabulary.
    """

    FUSED = "fused"
    FULL = "full"
    CHUNKED = "chunked"
    SHIFTED = "shifted"
    HALF = "half"
    NONE = "none"


class Loading(enum.StrEnum):
    """How weights reach devices that share them: each its own part, or all of them first and then a part of it."""

    SHARDED = "sharded"
    WHOLE = "whole"


class Measured(enum.StrEnum):
    """What a figure counts: all of the process, what the allocator reserved, or what tensors occupied."""

    PROCESS = "process"
    RESERVED = "reserved"
    ACTIVE = "active"


class Quantizer(enum.StrEnum):
    """How frozen weights are stored."""

    NF4 = "nf4"
    NF4_DOUBLE = "nf4-double"
    INT8 = "int8"
    GPTQ = "gptq-int4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """What an adapter adds: weights that learn, and what autograd keeps for them. Values a token are of ONE layer."""

    parameters: int
    copied_inputs: int = 0
    """Widths of the inputs of all adapted matrices: what is kept where the adapter casts its input to its own type."""
    distinct_inputs: int = 0
    """The same, each input that several matrices share counted once: what is kept where nothing is cast."""
    inner_values: int = 0
    """Other values in the adapter's own type (the rank's, an output that is scaled)."""
    outputs: int = 0
    """Values kept in the model's type (an output of the frozen matrix that is scaled)."""
    wide_values: int = 0
    """Values kept in fp32 whatever the types (an input that is scaled before the frozen matrix)."""
    after_attention: bool = False
    """Whether the attention's output is among the inputs; it is kept in any case where the kernel keeps it as it is."""
    weight_values: int = 0
    """Values of a layer that are kept once a step, not per token: a weight's update made in full."""
    square_values: int = 0
    """The same in the model's type (rotations, a changed copy of a frozen matrix)."""
    weight_in_flight: int = 0
    """Values in fp32 while one matrix computes: an updated weight and its norm, or an update's gradient."""
    uncast_inputs: int = 0
    """Widths of the distinct inputs of all matrices of the layer, adapted or not."""
    scaled_in_flight: int = 0
    """Values a token in fp32 while one matrix's results are scaled and added."""
    frozen_values: int = 0
    """Values of the adapter's own that do not learn, of all layers together."""
    largest_input: int = 0
    largest_output: int = 0
    virtual_tokens: int = 0
    """Tokens that the adapter puts in front of every sequence."""
    embeddings: int = 0
    """Weights of copied and trained embeddings (PEFT's modules_to_save)."""
    head_values: int = 0
    """Values a token that an adapter of the output head keeps."""
    dropout: bool = False
    slowdown: float = 1.0
    """Time of a step against LoRA's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharding:
    """What lies on which device. Stage 0 keeps everything everywhere; FSDP counts as stage 3."""

    strategy: Strategy = Strategy.NONE
    stage: int = 0
    devices: int = 1
    offload_optimizer: bool = False
    offload_parameters: bool = False


ALONE = Sharding()

PARAMETERS_STAGE = 3
"""The ZeRO stage that divides parameters too; what FSDP does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """How the training software computes. The defaults are this project's trainer on a GPU.

    A run that was published with other software is planned again by saying what that did differently.
    """

    attention: Attention | None = None
    """Unset: flash, or eager where a model caps its scores, which PyTorch's own kernels cannot."""
    loss: Loss | None = None
    """Unset: by the task."""
    autocast: bool = True
    """Whether matrices of fp32 are cast down for each computation, as transformers' Trainer does in 16 bits."""
    adapter_bytes: int | None = None
    """Bytes of an adapter's weight. Unset: 4, PEFT's fp32; under DeepSpeed the model's."""
    fused_activation: bool = False
    """Whether an approximated GELU is one kernel (torch's) and not several (transformers' `gelu_new`)."""
    keeps_inputs: bool = False
    """Whether 4-bit matrices keep their inputs (bitsandbytes before 0.42)."""
    lifted: bool = False
    """Whether norms, embeddings and head are fp32 beside 4-bit weights (PEFT's prepare_model_for_kbit_training)."""
    loading: Loading = Loading.SHARDED
    shards_quantized: bool = False
    """Whether quantized weights can lie in parts on several devices (bitsandbytes with FSDP or ZeRO stage 3)."""
    lifts_logits: bool = True
    """Whether a model casts its logits to fp32 itself; else autocast does, and nobody where there is none."""
    optimizer_in_backward: bool = False
    """Whether each weight steps as soon as it has its gradient, which is then let go."""
    offload_activations: bool = False
    """Whether checkpoints of activations wait in the node's memory."""
    measured: Measured = Measured.PROCESS
    """What the memory of a plan counts."""
    quantizer: Quantizer | None = None
    """A format that a job cannot ask for. Unset: the job's."""


TRAINER = Stack()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One step on one device."""

    method: Method
    quantizer: Quantizer | None = None
    adapter: Adapter | None = None
    micro_batch_size: int
    sequence_length: int
    sequences_per_row: int = 1
    """Two for preferences: a better and a worse answer."""
    accumulation: int = 1
    gradient_checkpointing: bool = False
    precision: Precision
    adapter_bytes: int = 4
    optimizer: Optimizer = Optimizer.ADAMW
    loss: Loss
    reference: bool = False
    """Whether a second, frozen copy of the model is held to compare with."""
    stack: Stack = TRAINER
    sharding: Sharding = ALONE

    @property
    def tokens(self) -> int:
        """Tokens of one micro-batch, none padded away, an adapter's own included."""
        virtual = self.adapter.virtual_tokens if self.adapter else 0
        return self.micro_batch_size * self.sequences_per_row * (self.sequence_length + virtual)

    @property
    def width(self) -> int:
        """Bytes of a value that the layers pass on."""
        return 4 if self.precision is Precision.FP32 else 2

    @property
    def trains_all(self) -> bool:
        """Whether every weight of the model learns."""
        return self.adapter is None

    @property
    def casts_adapter_input(self) -> bool:
        """Whether an adapter keeps a copy of its input, because its weights have another width than the model."""
        return self.adapter_bytes > self.width

    @property
    def adapter_width(self) -> int:
        """Bytes of a value that an adapter keeps."""
        return self.width if self.stack.autocast else self.adapter_bytes

    @property
    def trains_head(self) -> bool:
        """Whether the embedding and the output head learn."""
        return self.adapter is None or self.adapter.embeddings > 0

    @property
    def trained_width(self) -> int:
        """Bytes of a weight, a gradient and a moment where every weight learns."""
        return 4 if self.mixed else self.width

    @property
    def mixed(self) -> bool:
        """Whether trained weights are kept in fp32 and cast down for each computation."""
        if self.sharding.strategy is Strategy.DEEPSPEED:  # it keeps the fp32 weights itself, the modules hold 16 bits
            return False
        return self.trains_all and self.precision in {Precision.BF16_MIXED, Precision.FP16}
