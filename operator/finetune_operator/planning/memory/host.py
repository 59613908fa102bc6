"""Predicts the resident memory of a training process on a CPU, by term; `estimate` is the entry.

Activations are what autograd keeps per token and layer. They are counted at 4 bytes a value (fp32), as was measured; in
bf16 they take less. A decoder's attention runs in PyTorch's fused CPU kernel, which keeps no score matrix; an encoder
drops out attention weights, which that kernel cannot, so its scores are kept, several times over.

Not here: how much of it a pod may have (`planning.profiles`), a process on a GPU (`planning.memory.device`).
"""

from __future__ import annotations

from dataclasses import replace

from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.planning.catalog import ModelKind, ModelShape
from finetune_operator.planning.memory.estimate import MIB, MemoryEstimate
from finetune_operator.planning.memory.states import BLOCK_BYTES, largest_linear, states
from finetune_operator.planning.memory.workload import PARAMETERS_STAGE, Loss, Workload

FLOAT = 4

CLASSIFICATION_STACK = 809 * MIB
"""Resident size with torch, transformers, PEFT and pyarrow imported (740 MiB, of it 325 mapped files; 30 MiB more than
before tokenized rows were kept in Arrow files), and blocks that the allocator keeps from one step to the next (in sixty
steps on rows of any length 40 to 80 MiB more than in twenty on rows of one, and 20 to 30 MiB more where both cores are
free than where others use them)."""

GENERATION_STACK = 810 * MIB
"""The same with TRL and datasets (measured 793 to 806 MiB)."""

QUANTIZATION_STACK = 112 * MIB
"""What bitsandbytes adds to any model: its import (43 to 45 MiB), and what the allocator cannot use between blocks into
which weights are dequantized (48 to 110 MiB in all for a model with 7 MiB of them)."""

KEPT_AT_MOST = 128 * MIB
"""The most that the allocator comes to hold of dequantized matrices beside the largest: blocks are taken again by the
matrices of other layers. Nor does it hold more than one copy of all, since the trainer gives free blocks back every 64
batches (a quantized MiniLM held 1,298 to 1,321 MiB in sixty steps and 1,294 in three hundred)."""

GIVEN_BACK = 32 * MIB
"""Blocks of this size and more go straight back to the system: the most that glibc's threshold grows to."""

DEEPSPEED_STACK, PARTITIONS_STACK = 60 * MIB, 30 * MIB
"""What DeepSpeed adds to each process: its import and groups on gloo, and from ZeRO 1 on the partitions' bookkeeping
(measured in sixty steps beside one process: 46 MiB at ZeRO 0 and 104 at ZeRO 1; DDP added nothing)."""

SCORE_COPIES = 5
"""Copies of an encoder's attention scores: scores, softmax, dropout mask, product, and one in passing."""

LOGIT_COPIES = 9
"""Copies of the logits in TRL's loss: measured 34.8 bytes a logit by widening a Phi-3's vocabulary fourfold."""

HEADROOM = 1.16
"""Allocator fragmentation and what the terms leave out. With it no measured run lies above its prediction."""


def estimate(shape: ModelShape, work: Workload) -> MemoryEstimate:
    """Return the predicted peak of the training process."""
    work = replace(work, adapter_bytes=FLOAT)
    held = states(shape, work)
    terms = {
        "stack": stack(work),
        "weights": _weights(shape, work, held.weights),
        "adapter": held.adapter,
        "gradients": held.gradients,
        "optimizer": held.optimizer,
        "buffers": held.buffers + held.gathered,
        "reference": held.reference,
        "activations": _activations(shape, work),
        "logits": _logits(shape, work),
        "dequantized": _dequantized(shape) if work.quantizer else 0,
    }
    terms["headroom"] = sum(terms.values()) * (HEADROOM - 1)
    return MemoryEstimate(terms=tuple((name, round(size)) for name, size in terms.items() if round(size)))


def stack(work: Workload) -> int:
    """Return what the libraries of a process take, before there is a model."""
    found = CLASSIFICATION_STACK if work.loss is Loss.NONE else GENERATION_STACK
    if work.sharding.strategy is Strategy.DEEPSPEED:
        found += DEEPSPEED_STACK + (PARTITIONS_STACK if work.sharding.stage else 0)
    return found + (QUANTIZATION_STACK if work.quantizer else 0)


def _weights(shape: ModelShape, work: Workload, held: float) -> float:
    """Return the bytes of a model and of the file that it was loaded from, where that stays.

    Weights of an fp32 file are the mapped file itself: where some were quantized, the others keep all of it mapped.
    Encoders come in fp32; decoders in 16 bits, so that all that is not quantized is copied, and the file let go.
    Before ZeRO-3 each process loads the model whole, and its part of it is copied out.
    """
    whole = float(FLOAT * shape.parameters)
    if work.quantizer is not None and shape.kind is ModelKind.ENCODER:
        return whole + shape.linear_parameters * BLOCK_BYTES[work.quantizer]
    return whole + held if work.sharding.stage == PARAMETERS_STAGE else held


def _dequantized(shape: ModelShape) -> float:
    """Return the bytes of matrices in fp32 that are held while quantized ones compute, and between such moments."""
    one, every = FLOAT * largest_linear(shape), FLOAT * shape.linear_parameters
    return float(one if one >= GIVEN_BACK else min(every, one + KEPT_AT_MOST))


def _activations(shape: ModelShape, work: Workload) -> float:
    whole = FLOAT * work.tokens * _saved_per_token(shape, work) + _updates(work)
    depth = shape.layers + shape.decoder_layers
    if not work.gradient_checkpointing:
        return depth * whole + _passing(work)
    return depth * FLOAT * work.tokens * shape.hidden + whole + _passing(work)  # layer inputs, and one layer recomputed


def _updates(work: Workload) -> float:
    return float(FLOAT * (work.adapter.weight_values + work.adapter.square_values)) if work.adapter else 0.0


def _passing(work: Workload) -> float:
    return float(FLOAT * work.adapter.weight_in_flight) if work.adapter else 0.0


def _saved_per_token(shape: ModelShape, work: Workload) -> float:
    """Values that one layer keeps per token: norms, projections, attention and MLP, as the modules save them.

    For a gated decoder measured by doubling a Phi-3's layers: 6,640 values where this gives 6,750.
    """
    extra = work.adapter
    adapter = extra.copied_inputs + extra.inner_values + extra.outputs + extra.wide_values if extra else 0
    if shape.kind is ModelKind.DECODER:
        # grouped keys and values are kept twice: as projected, and repeated for every query head
        return 15 * shape.hidden + 2 * shape.kv_width + 5 * shape.intermediate + adapter
    return 9 * shape.hidden + shape.heads + 3 * shape.intermediate + adapter + _dropout(shape, work)


def _dropout(shape: ModelShape, work: Workload) -> int:
    """Values kept for dropout: masks of both outputs, and scores, weights, mask and product of the attention."""
    return 3 * shape.hidden + SCORE_COPIES * shape.heads * work.sequence_length


def _logits(shape: ModelShape, work: Workload) -> float:
    return 0.0 if work.loss is Loss.NONE else LOGIT_COPIES * FLOAT * work.tokens * shape.vocabulary
