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
from finetune_operator.planning.memory.states import states
from finetune_operator.planning.memory.workload import PARAMETERS_STAGE, Loss, Workload

FLOAT = 4

CLASSIFICATION_STACK = 790 * MIB
"""Resident size with torch, transformers, PEFT and pyarrow imported (740 MiB, of it 325 mapped files; 30 MiB more than
before tokenized rows were kept in Arrow files), and blocks that the allocator keeps from one step to the next."""

GENERATION_STACK = 810 * MIB
"""The same with TRL and datasets (measured 793 to 806 MiB)."""

QUANTIZATION_STACK = 130 * MIB
"""What bitsandbytes adds: its import, and blocks into which weights are dequantized (48 to 150 MiB in sixty steps)."""

DEEPSPEED_STACK = 80 * MIB
"""What DeepSpeed adds to each process: its import, and groups on gloo (measured 1,004 to 1,017 MiB at ZeRO 2 and 3
where one process took 942; DDP added nothing, 940)."""

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
        "weights": max(held.weights, _whole_at_first(shape, work)),
        "adapter": held.adapter,
        "gradients": held.gradients,
        "optimizer": held.optimizer,
        "buffers": held.buffers + held.gathered,
        "reference": held.reference,
        "activations": _activations(shape, work),
        "logits": _logits(shape, work),
        "dequantized": FLOAT * shape.hidden * shape.intermediate if work.quantizer else 0,
    }
    terms["headroom"] = sum(terms.values()) * (HEADROOM - 1)
    return MemoryEstimate(terms=tuple((name, round(size)) for name, size in terms.items() if round(size)))


def stack(work: Workload) -> int:
    """Return what the libraries of a process take, before there is a model."""
    found = CLASSIFICATION_STACK if work.loss is Loss.NONE else GENERATION_STACK
    found += DEEPSPEED_STACK if work.sharding.strategy is Strategy.DEEPSPEED else 0
    return found + (QUANTIZATION_STACK if work.quantizer else 0)


def _whole_at_first(shape: ModelShape, work: Workload) -> float:
    """Return the bytes of a model that each process loads whole before ZeRO-3 leaves it a part; 0 at other stages."""
    return float(FLOAT * shape.parameters) if work.sharding.stage == PARAMETERS_STAGE else 0.0


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
