"""Bytes that autograd keeps between a layer's forward and its backward pass, per token, as today's modules save them.

`c` is the width of a value that layers pass on (2 in bf16 and fp16). Frozen weights need no input of their own, so an
adapter keeps less than full fine-tuning does. Counted tensor by tensor on real modules: tests/fake.

Not here: logits and everything outside the layers (`planning.memory.device`).
"""

from __future__ import annotations

from finetune_operator.planning.catalog import Group, Layout, ModelKind, ModelShape, Norm
from finetune_operator.planning.memory import traits
from finetune_operator.planning.memory.workload import Attention, Quantizer, Workload

FLOAT = 4
DROPOUT_MASK = 1
INDEX = 8
"""Bytes of a place in a tensor."""

SIDES = 2
"""Stacks of an encoder-decoder; its decoder has a second attention, with a norm and a dropout of its own."""


def saved(shape: ModelShape, work: Workload) -> float:
    """Return the bytes that one layer keeps for one token, weights' updates aside."""
    learned = _inputs(shape, work) if work.trains_all else 0.0
    return learned + _norms(shape, work) + _attention(shape, work) + _mlp(shape, work) + _adapter(shape, work)


def updates(work: Workload) -> float:
    """Return the bytes that one layer keeps for its weights' updates, whatever the number of tokens."""
    adapter = work.adapter
    if adapter is None:
        return 0.0
    return float(work.adapter_width * adapter.weight_values + work.width * adapter.square_values)


def recomputed_weights(work: Workload) -> float:
    """Return the bytes in passing while a layer computes its weights' update again."""
    return float(work.adapter_bytes * work.adapter.weight_in_flight) if work.adapter else 0.0


def checkpoint(shape: ModelShape, work: Workload) -> float:
    """Return the bytes that a checkpointed layer keeps for one token: its input."""
    return float(_stream(shape, work) * shape.hidden)


def in_flight(shape: ModelShape, work: Workload) -> float:
    """Return the bytes of a token's gradients in passing, at the widest place of a layer's backward pass.

    That is in the MLP: the gradients of its inner values, those of a fused gate joined, and of the stream, and what an
    adapter of fp32 weights lifts; or the scores, where they are kept.
    """
    fused = any(one.width_out > shape.intermediate for one in shape.linears if one.group is Group.MLP_IN)
    gated = 3 * shape.intermediate if fused else 2 * shape.intermediate + shape.hidden
    width = FLOAT if _wide(shape, work) else work.width
    alone = traits.WRITTEN_GELU_IN_FLIGHT.get(shape.model_type, 1) * shape.intermediate
    widest = width * (gated if shape.gated else alone)
    if work.adapter and work.casts_adapter_input:
        lifted = work.adapter.largest_input
        widest += FLOAT * (lifted if autocasts(work) else max(lifted, work.adapter.largest_output))
    elif work.adapter and not shape.gated:
        widest += width * work.adapter.largest_input
    scores = FLOAT * shape.heads * work.sequence_length if _kernel(shape, work) is Attention.EAGER else 0
    return float(max(widest, scores))


def scaled(work: Workload) -> float:
    """Return the bytes of a token's results in passing while an adapter scales them."""
    return float(FLOAT * work.adapter.scaled_in_flight) if work.adapter else 0.0


def beside_dequantized(shape: ModelShape, work: Workload) -> float:
    """Return the bytes of a token's values in passing while a quantized matrix of the MLP is written out."""
    return float(work.width * (shape.intermediate + shape.hidden))


def autocasts(work: Workload) -> bool:
    """Whether the step computes in 16 bits, whatever its tensors are."""
    return work.stack.autocast and work.width < FLOAT


def _kernel(shape: ModelShape, work: Workload) -> Attention:
    """Return how attention is computed: as was said, else as transformers does by itself."""
    return work.stack.attention or (Attention.EAGER if shape.model_type in traits.WITHOUT_KERNEL else Attention.FLASH)


def _wide(shape: ModelShape, work: Workload) -> bool:
    """Whether values between the matrices are in fp32: a quantized matrix answers in the type of a lifted norm."""
    lifted = shape.norm is Norm.LAYERNORM or work.stack.lifted
    return work.quantizer is not None and lifted and autocasts(work)


def _stream(shape: ModelShape, work: Workload) -> int:
    """Return the width of the residual stream: a normalised fp32 weight keeps it in fp32."""
    return FLOAT if work.mixed or _wide(shape, work) else work.width


def _beside(shape: ModelShape) -> float:
    """Return how many attentions a layer has on the average beside its first."""
    return 1 / SIDES if shape.kind is ModelKind.ENCODER_DECODER else 0.0


def _side_by_side(shape: ModelShape) -> bool:
    """Whether attention and MLP read the result of one norm."""
    return shape.norms_per_layer == 1


def _norms(shape: ModelShape, work: Workload) -> float:
    c, count = work.width, shape.norms_per_layer + _beside(shape)
    wide = FLOAT if work.mixed or shape.model_type.startswith(traits.WIDE_NORMS) else c
    if shape.norm is Norm.LAYERNORM:
        one = FLOAT if autocasts(work) else work.width
        shared = shape.model_type in traits.SHARED_NORM_INPUT
        shared = shared and one == _stream(shape, work)  # else each norm lifts its own
        return float(shape.hidden * one * (1 if shared else count)) + _dropout(shape)
    one = FLOAT * (2 if shape.model_type in traits.CENTRED_NORMS else 1)  # in fp32
    one += c if shape.kind is ModelKind.ENCODER_DECODER else 0  # T5 multiplies what it was given
    learned = (wide, FLOAT if wide == FLOAT and not work.mixed else c) if work.trains_all else (0, 0)
    heads = shape.query_width + shape.kv_width if shape.qk_norm else 0
    return float(count * shape.hidden * (one + learned[0]) + heads * (one + learned[1])) + _dropout(shape)


def _inputs(shape: ModelShape, work: Workload) -> float:
    """Return the bytes of what matrices read: their own gradients need it."""
    c, places = work.width, 1 if _side_by_side(shape) else 2
    reads = c * shape.hidden * (places + _beside(shape))
    if work.mixed or (shape.norm is Norm.LAYERNORM and autocasts(work)):  # a norm's result in fp32, cast by each
        groups = {Group.ATTENTION_IN, Group.MLP_IN}
        reads = c * sum(one.width_in for one in shape.linears if one.group in groups)
    inner = 0 if shape.layout in traits.RELU else c * shape.intermediate
    return float(reads + inner) + _copied_output(shape, work)


def _copied_output(shape: ModelShape, work: Workload) -> float:
    """Return the bytes of the attention's output beside what the kernel keeps of it."""
    kernel = _kernel(shape, work) is not Attention.EAGER
    share = (1 - _masked_share(shape, work) if shape.model_type in traits.COPIED_OUTPUT else 0.0) if kernel else 1.0
    return share * work.width * shape.query_width


def _attention(shape: ModelShape, work: Workload) -> float:
    masked = _masked_share(shape, work)
    one = masked * _masked(shape, work) + (1 - masked) * _plain(shape, work)
    if shape.layout is Layout.DEBERTA:
        one = _disentangled(shape, work)
    elif _kernel(shape, work) is Attention.EAGER:
        wide = FLOAT if shape.model_type in traits.WIDE_SCORES and not autocasts(work) else work.width
        one = (2 * wide + work.width) * shape.query_width + _score(shape, work) * shape.heads * work.sequence_length
    return one * (1 + _beside(shape)) + _distances(shape, work)


def _disentangled(shape: ModelShape, work: Workload) -> float:
    """Return what DeBERTa's attention keeps: scores by content, and by distance from either side.

    That is queries, keys, keys scaled and values; from either side scores with each distance, of which each pair of
    tokens picks its own, by indices that all rows share; the distances read and projected, the latter again for each
    row; and a mask.
    """
    c, length = work.width, work.sequence_length
    content = 4 * c * shape.query_width + _score(shape, work) * shape.heads * length
    picked = 2 * (c * shape.heads * shape.learned_positions + INDEX * length / work.micro_batch_size)
    projected = 2 * c * shape.learned_positions * shape.query_width / length
    read = c + (DROPOUT_MASK if work.trains_all else 0)
    if work.adapter and work.casts_adapter_input:
        read = 2 * work.adapter_width  # adapters of queries and of keys each cast their own
    table = read * shape.learned_positions * shape.hidden / work.tokens
    return content + picked + projected + table + DROPOUT_MASK * length


def _score(shape: ModelShape, work: Workload) -> int:
    """Return the bytes that are kept of a score: its softmax, and that cast or dropped out."""
    if shape.kind is not ModelKind.DECODER:
        return (FLOAT if autocasts(work) else work.width) + work.width + DROPOUT_MASK
    return FLOAT + (2 if shape.model_type in traits.CAPPED else 1) * work.width


def _masked_share(shape: ModelShape, work: Workload) -> float:
    """Return the part of the layers whose kernel gets a mask: those whose window is shorter than a sequence."""
    if shape.model_type in traits.ALWAYS_MASKED or _kernel(shape, work) is Attention.PADDED:
        return 1.0
    if shape.layout is Layout.PHI3_SMALL:
        return traits.SPARSE_SHARE if work.sequence_length > traits.SPARSE_FROM else 0.0
    slides = shape.sliding_window is not None and work.sequence_length >= shape.sliding_window
    return traits.SLIDING_SHARE.get(shape.model_type, 1.0) if slides else 0.0


def _plain(shape: ModelShape, work: Workload) -> float:
    """Return what a flash kernel keeps: its inputs, its output, and one log-sum-exp a head."""
    return _projected(shape, work, repeated=False) + work.width * shape.query_width + FLOAT * shape.heads


def _masked(shape: ModelShape, work: Workload) -> float:
    """Return what a kernel with a mask keeps: heads that share keys and values get copies; and a row of the mask."""
    repeated = shape.model_type not in traits.ALWAYS_MASKED
    kept = _projected(shape, work, repeated=repeated) + work.width * shape.query_width + FLOAT * shape.heads
    each = shape.heads if shape.layout is Layout.PHI3_SMALL else 1  # each of its heads sees other blocks
    return kept + work.width * work.sequence_length * each


def _projected(shape: ModelShape, work: Workload, *, repeated: bool) -> float:
    c, query, key = work.width, shape.query_width, shape.kv_width
    if repeated and key < query:
        return float(3 * c * query)
    # rotated copies beside the whole, of which the value is a view; what is lifted is copied when it is cast back
    rotated = shape.layout in traits.FUSED_ROTARY and not _wide(shape, work)
    return float(c * (query + 2 * key) + (c * (query + key) if rotated else 0))


def _distances(shape: ModelShape, work: Workload) -> float:
    """Return the bytes of T5's table of distances, which each layer keeps, for all rows together."""
    if shape.layout is not Layout.T5:
        return 0.0
    rows = 1 if _kernel(shape, work) is Attention.PADDED else work.micro_batch_size  # a mask makes each row's its own
    return work.width * shape.heads * work.sequence_length / rows


def _mlp(shape: ModelShape, work: Workload) -> float:
    wide = _wide(shape, work)
    if shape.layout is Layout.PHI3_SMALL:
        values = traits.GEGELU_VALUES
    elif shape.gated:
        values = 3  # gate, up, activated gate
        if shape.layout in traits.GATED_GELU:
            values = 2 + traits.PYTHON_GELU_VALUES if not autocasts(work) else 3 + traits.LIFTED_GELU_VALUES
    elif shape.layout in traits.PYTHON_GELU and not work.stack.fused_activation:
        values = traits.LIFTED_GELU_VALUES if autocasts(work) and not wide else traits.PYTHON_GELU_VALUES
    else:
        values = 1
    return float((FLOAT if wide else work.width) * shape.intermediate * values)


def _adapter(shape: ModelShape, work: Workload) -> float:
    adapter = work.adapter
    if adapter is None:
        return 0.0
    narrow = adapter.uncast_inputs if _quantized_keep_inputs(work) else 0
    after = _copied_output(shape, work) if adapter.after_attention else 0.0
    size = work.adapter_width * adapter.inner_values + work.width * adapter.outputs + FLOAT * adapter.wide_values
    if _wide(shape, work) and not adapter.dropout:  # each casts its own, but the attention's output, which is narrow
        own = adapter.copied_inputs - (shape.query_width if adapter.after_attention else 0)
        size += round(work.width * own + after)
    elif work.casts_adapter_input or adapter.dropout:
        size += work.adapter_width * adapter.copied_inputs + work.width * narrow
    else:
        size += round(work.width * max(adapter.distinct_inputs, narrow) + after)
    return float(size + (DROPOUT_MASK * adapter.copied_inputs if adapter.dropout else 0))


def _quantized_keep_inputs(work: Workload) -> bool:
    return work.quantizer is Quantizer.INT8 or (work.quantizer is not None and work.stack.keeps_inputs)


def _dropout(shape: ModelShape) -> float:
    """Masks of hidden dropouts, where the architecture drops out; T5 also drops out inside of its MLP."""
    usual = 0 if shape.kind is ModelKind.DECODER else 2
    wide = traits.DROPOUTS.get(shape.model_type, usual) + _beside(shape)
    inner = shape.intermediate if shape.kind is ModelKind.ENCODER_DECODER else 0
    return float(DROPOUT_MASK * (wide * shape.hidden + inner))
