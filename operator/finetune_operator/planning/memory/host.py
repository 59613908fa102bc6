"""Predicts the resident memory of a training process on a CPU, by term; `estimate` is the entry.

Everything is counted at 4 bytes a value (fp32), as a CPU computes. Activations are what autograd keeps per token and
layer. A decoder's attention runs in PyTorch's fused CPU kernel, which keeps no score matrix; an encoder drops out
attention weights, which that kernel cannot, so its scores are kept, several times over.

Not here: how much of it a pod may have (`planning.profiles`), what to do when it does not fit (`planning.plan`).
"""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api.v1alpha1.technique import Method, QuantizationType
from finetune_operator.planning.catalog import ModelKind, ModelShape
from finetune_operator.planning.profiles import GIB

FLOAT = 4
MIB = 1024**2

CLASSIFICATION_STACK = 720 * MIB
"""Resident size with torch, transformers and PEFT imported (measured 709 to 733 MiB)."""

GENERATION_STACK = 810 * MIB
"""The same with TRL and datasets (measured 793 to 806 MiB)."""

QUANTIZATION_STACK = 500 * MIB
"""What bitsandbytes adds: its import and the weights in flight (48 to 150 MiB), and a heap that grows with the blocks
into which every step dequantizes (a small Phi-3 held 1,204 MiB after 6 steps, 1,542 after 20, 1,868 after 80)."""

QUANTIZED_BYTES = {
    # 4 bits, one absmax per 64 weights: as fp32, or quantized again with blocks of 256 (QLoRA, arXiv 2305.14314)
    (QuantizationType.NF4, False): 0.5 + 4 / 64,
    (QuantizationType.NF4, True): 0.5 + 1 / 64 + 4 / (64 * 256),
    (QuantizationType.FP4, False): 0.5 + 4 / 64,
    (QuantizationType.FP4, True): 0.5 + 1 / 64 + 4 / (64 * 256),
    (QuantizationType.INT8, False): 1.0,
    (QuantizationType.INT8, True): 1.0,
}

ADAM_STATES = 2

SCORE_COPIES = 5
"""Copies of an encoder's attention scores: scores, softmax, dropout mask, product, and one in passing."""

LOGIT_COPIES = 9
"""Copies of the logits in TRL's loss: measured 34.8 bytes a logit by widening a Phi-3's vocabulary fourfold."""

HEADROOM = 1.12
"""Allocator fragmentation and what the terms leave out. With it no measured run lies above its prediction."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter's size: its trainable parameters, and how many values per token its inputs add to each layer."""

    parameters: int
    saved_per_token_and_layer: int


@dataclass(frozen=True, slots=True)
class Workload:
    """What one micro-step computes."""

    method: Method
    quantization: tuple[QuantizationType, bool] | None
    adapter: Adapter | None
    micro_batch_size: int
    sequence_length: int
    gradient_checkpointing: bool
    generative: bool
    """Whether every position predicts a token, so that logits have the vocabulary's width."""

    @property
    def tokens(self) -> int:
        """Tokens of one micro-batch, none padded away."""
        return self.micro_batch_size * self.sequence_length


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by term; the terms add up to the peak."""

    terms: tuple[tuple[str, int], ...]

    @property
    def peak(self) -> int:
        """Bytes resident at the worst moment."""
        return sum(size for _name, size in self.terms)


def trainable_parameters(shape: ModelShape, workload: Workload) -> int:
    """Return how many weights get a gradient."""
    return workload.adapter.parameters if workload.adapter else shape.parameters


def estimate(shape: ModelShape, workload: Workload) -> MemoryEstimate:
    """Return the predicted peak of the training process."""
    trainable = trainable_parameters(shape, workload)
    weights = _weights(shape, workload)
    terms = [
        ("stack", _stack(workload)),
        ("weights", weights),
        ("adapter", FLOAT * workload.adapter.parameters if workload.adapter else 0),
        ("gradients", FLOAT * trainable),
        ("optimizer", ADAM_STATES * FLOAT * trainable),
        ("activations", _activations(shape, workload)),
        ("logits", _logits(shape, workload)),
        ("dequantized", FLOAT * shape.hidden * shape.intermediate if workload.quantization else 0),
    ]
    terms.append(("headroom", int(sum(size for _name, size in terms) * (HEADROOM - 1))))
    return MemoryEstimate(terms=tuple((name, size) for name, size in terms if size))


def _stack(workload: Workload) -> int:
    stack = GENERATION_STACK if workload.generative else CLASSIFICATION_STACK
    return stack + (QUANTIZATION_STACK if workload.quantization else 0)


def _weights(shape: ModelShape, workload: Workload) -> int:
    if workload.quantization is None:
        return FLOAT * shape.parameters
    quantized = int(shape.linear_parameters * QUANTIZED_BYTES[workload.quantization])
    return quantized + FLOAT * (shape.parameters - shape.linear_parameters)


def _activations(shape: ModelShape, workload: Workload) -> int:
    whole = FLOAT * workload.tokens * _saved_per_token(shape, workload)
    if not workload.gradient_checkpointing:
        return shape.layers * whole
    return shape.layers * FLOAT * workload.tokens * shape.hidden + whole  # layer inputs, and one layer recomputed


def _saved_per_token(shape: ModelShape, workload: Workload) -> int:
    """Values that one layer keeps per token: norms, projections, attention and MLP, as the modules save them.

    For a gated decoder measured by doubling a Phi-3's layers: 6,640 values where this gives 6,750.
    """
    adapter = workload.adapter.saved_per_token_and_layer if workload.adapter else 0
    if shape.kind is ModelKind.ENCODER:
        block = 9 * shape.hidden + shape.heads + 3 * shape.intermediate
        return block + adapter + _dropout(shape, workload)
    # grouped keys and values are kept twice: as projected, and repeated for every query head
    block = 15 * shape.hidden + 2 * shape.kv_width + 5 * shape.intermediate
    return block + adapter


def _dropout(shape: ModelShape, workload: Workload) -> int:
    """Values kept for dropout: masks of both outputs, and scores, weights, mask and product of the attention."""
    return 3 * shape.hidden + SCORE_COPIES * shape.heads * workload.sequence_length


def _logits(shape: ModelShape, workload: Workload) -> int:
    return LOGIT_COPIES * FLOAT * workload.tokens * shape.vocabulary if workload.generative else 0


def readable(size: int) -> str:
    """Write bytes as people compare them."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"
