"""PEFT's adapters beside LoRA: weights that learn, and what the backward pass keeps for them; `peft` is the entry.

One function per adapter, after PEFT 0.21's modules, with PEFT's defaults for options that are not given. `a` is a
matrix's input width, `b` its output width.

Not here: LoRA and DoRA (`planning.memory.adapters.lora`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from finetune_operator.api.v1alpha1.technique import PeftType
from finetune_operator.planning.catalog import Group, ModelShape, Norm
from finetune_operator.planning.memory.adapters.lora import Targets, common, targets
from finetune_operator.planning.memory.workload import Adapter

Options = Mapping[str, bool | int | float | str]
Size = Callable[[ModelShape, Targets, Options], Adapter]

QUERY_VALUE = ("q_proj", "v_proj", "query", "value", "q", "v", "query_key_value", "qkv_proj", "c_attn")
"""PEFT's usual default targets: query and value, or the matrix that holds them."""


SLOWDOWN: Mapping[PeftType, float] = {
    PeftType.BOFT: 7.2,
    PeftType.LOHA: 1.45,
    PeftType.LOKR: 1.34,
    PeftType.OFT: 1.23,
    PeftType.WAVEFT: 2.19,
    PeftType.FOURIERFT: 2.19,
    PeftType.IA3: 1.02,
    PeftType.VERA: 1.05,
    PeftType.SHIRA: 1.04,
}
"""Time of a step against LoRA's, by PEFT's benchmark (Llama-3.2-3B on an L40S); FourierFT as WaveFT, its like."""


def peft(shape: ModelShape, kind: PeftType, options: Options) -> Adapter:
    """Return the size of an adapter; targets are PEFT's default ones unless `target_modules` names others."""
    named = str(options.get("target_modules", "")).split(",") if "target_modules" in options else _default(shape, kind)
    size = SIZES[kind](shape, targets(shape, tuple(named)), options)
    return replace(size, slowdown=SLOWDOWN.get(kind, 1.0))


def _default(shape: ModelShape, kind: PeftType) -> tuple[str, ...]:
    if kind is PeftType.IA3:
        keys = ("k_proj", "v_proj", "key", "value", "k", "v", "query_key_value", "qkv_proj", "c_attn")
        return (*keys, *(linear.name for linear in shape.linears if linear.group is Group.MLP_OUT))
    return QUERY_VALUE


def _number(options: Options, name: str, default: int) -> int:
    value = options.get(name, default)
    return int(value) if isinstance(value, int | float) else default


def _ia3(shape: ModelShape, chosen: Targets, _options: Options) -> Adapter:
    """A factor for each key, each value and each input of the MLP's last matrix, which it scales in fp32."""
    inward, outward = chosen.of(Group.MLP_OUT), chosen.of(*(set(Group) - {Group.MLP_OUT}))
    parameters = inward.total(lambda a, _b: a) + outward.total(lambda _a, b: b)
    base = _without_inputs(common(shape, chosen, parameters))
    return replace(base, outputs=outward.each(lambda _a, b: b), wide_values=inward.each(lambda a, _b: a))


def _vera(shape: ModelShape, chosen: Targets, options: Options) -> Adapter:
    """Two vectors a matrix between frozen random matrices that all layers share."""
    rank = _number(options, "r", 256)
    base = _without_inputs(common(shape, chosen, chosen.total(lambda _a, b: rank + b)))
    return replace(
        base,
        inner_values=chosen.each(lambda _a, b: rank + b),
        frozen_values=rank * (base.largest_input + base.largest_output),
    )


def _randlora(shape: ModelShape, chosen: Targets, options: Options) -> Adapter:
    """Scales of frozen random bases, as many of them as make a matrix of full rank."""
    rank = _number(options, "r", 32)
    base = _without_inputs(common(shape, chosen, chosen.total(lambda a, b: _bases(a, b, rank) * (rank + min(a, b)))))
    return replace(
        base,
        inner_values=chosen.each(min),
        weight_values=chosen.each(lambda a, b: min(a, b) ** 2),
        frozen_values=(base.largest_input + rank) * base.largest_output,
    )


def _bases(a: int, b: int, rank: int) -> int:
    return -(-min(a, b) // rank)


def _hra(shape: ModelShape, chosen: Targets, options: Options) -> Adapter:
    """A chain of reflections, each of them written out, as are their products."""
    rank = _number(options, "r", 8)
    base = common(shape, chosen, chosen.total(lambda a, _b: rank * a))
    return replace(base, weight_values=chosen.each(lambda a, b: (rank + 1) * a * a + 2 * a * b))


def _oft(shape: ModelShape, chosen: Targets, options: Options) -> Adapter:
    """Rotations of blocks of the input, each written out seven times."""
    block = _blocks(options, ("oft_block_size", 32), "r")
    base = common(shape, chosen, chosen.total(lambda a, _b: a * (block(a) - 1) / 2))
    return replace(base, weight_values=7 * chosen.each(lambda a, _b: block(a) * a))


def _blocks(options: Options, size: tuple[str, int], count: str) -> Callable[[float], float]:
    """Tell the width of a block from the width of a matrix: said by its size, or by how many there are."""
    many = _number(options, count, 0)
    given = _number(options, *size)
    return lambda width: max(width / many, 1.0) if many and size[0] not in options else given


def _boft(shape: ModelShape, chosen: Targets, options: Options) -> Adapter:
    """Rotations of the whole input, three squares of its width, by a frozen permutation; and a scaled output."""
    block, factors = (
        _blocks(options, ("boft_block_size", 4), "boft_block_num"),
        _number(options, "boft_n_butterfly_factor", 1),
    )
    base = common(shape, chosen, chosen.total(lambda a, b: a * block(a) * factors + b))
    return replace(
        _without_inputs(base),
        outputs=base.distinct_inputs + chosen.each(lambda _a, b: b),
        square_values=3 * factors * chosen.each(lambda a, _b: a * a),
        frozen_values=factors * chosen.total(lambda a, _b: a * a),
    )


def _shira(shape: ModelShape, chosen: Targets, options: Options) -> Adapter:
    """A few learned weights of a copy of the matrix."""
    rank = _number(options, "r", 32)
    base = common(shape, chosen, chosen.total(lambda a, b: rank * (a + b)))
    copies = chosen.each(lambda a, b: a * b)
    return replace(_without_inputs(base), outputs=base.distinct_inputs, square_values=copies)


def _without_inputs(adapter: Adapter) -> Adapter:
    """Take out the inputs: a factor of an output has no use for them."""
    return replace(adapter, copied_inputs=0, distinct_inputs=0, after_attention=False)


def _in_full(per_matrix: Callable[[Options, int, int], float]) -> Size:
    """Make the size of an adapter that writes out a weight's whole update, and then its gradient."""

    def size(shape: ModelShape, chosen: Targets, options: Options) -> Adapter:
        base = common(shape, chosen, chosen.total(lambda a, b: per_matrix(options, a, b)))
        update = chosen.each(lambda a, b: a * b)
        return replace(base, weight_values=update, weight_in_flight=chosen.most(lambda a, b: a * b))

    return size


def _low_rank(default: int, per_matrix: Callable[[int, int, int], float], inner: int = 1) -> Size:
    """Make the size of an adapter that works on inputs, and keeps `inner` times the rank's values beside them."""

    def size(shape: ModelShape, chosen: Targets, options: Options) -> Adapter:
        rank = _number(options, "r", default)
        base = common(shape, chosen, chosen.total(lambda a, b: per_matrix(rank, a, b)))
        return replace(base, inner_values=inner * chosen.each(lambda _a, _b: rank))

    return size


def _adalora(shape: ModelShape, chosen: Targets, options: Options) -> Adapter:
    """LoRA with a singular value for each rank."""
    rank = _number(options, "init_r", 12)
    base = common(shape, chosen, chosen.total(lambda a, b: rank * (a + b + 1)))
    return replace(base, inner_values=chosen.each(lambda _a, _b: rank))


def _miss(shape: ModelShape, chosen: Targets, options: Options) -> Adapter:
    """One small matrix that reads sums of the input: only the sums are kept."""
    rank = _number(options, "r", 64)
    base = _without_inputs(common(shape, chosen, chosen.total(lambda _a, b: rank * b)))
    return replace(base, inner_values=chosen.each(lambda _a, _b: rank))


def _prompt(shape: ModelShape, _chosen: Targets, options: Options) -> Adapter:
    """Learned tokens in front of the input."""
    tokens = _number(options, "num_virtual_tokens", 20)
    return Adapter(parameters=tokens * shape.hidden, virtual_tokens=tokens)


def _p_tuning(shape: ModelShape, _chosen: Targets, options: Options) -> Adapter:
    """Learned tokens that a small network of three layers writes."""
    tokens = _number(options, "num_virtual_tokens", 20)
    hidden, inner = shape.hidden, _number(options, "encoder_hidden_size", shape.hidden)
    network = hidden * inner + inner + inner * inner + inner + inner * hidden + hidden
    return Adapter(parameters=tokens * hidden + network, virtual_tokens=tokens)


def _prefix(shape: ModelShape, _chosen: Targets, options: Options) -> Adapter:
    """Learned keys and values in front of every layer's own: a mask, and copies for heads that share them."""
    tokens = _number(options, "num_virtual_tokens", 20)
    copies = 2 * (shape.query_width - shape.kv_width)
    return Adapter(parameters=tokens * shape.layers * 2 * shape.kv_width, outputs=copies)


def _norms(shape: ModelShape, _chosen: Targets, _options: Options) -> Adapter:
    """The vectors of the norms: they need the normalised input."""
    stacks = 2 if shape.decoder_layers else 1
    norms = shape.layers * shape.norms_per_layer + shape.decoder_layers * (shape.norms_per_layer + 1) + stacks
    vectors = norms * (2 if shape.norm is Norm.LAYERNORM else 1)
    heads = 2 * shape.head_dim * shape.layers if shape.qk_norm else 0
    return Adapter(parameters=vectors * shape.hidden + heads, outputs=shape.norms_per_layer * shape.hidden)


def _tokens(shape: ModelShape, _chosen: Targets, options: Options) -> Adapter:
    """The embeddings of a few tokens."""
    return Adapter(parameters=len(str(options.get("token_indices", 0)).split(",")) * shape.hidden)


def _vblora(shape: ModelShape, chosen: Targets, options: Options) -> Adapter:
    """A bank of vectors that all matrices share, and for each piece of a matrix's rank a choice among them."""
    rank, bank = _number(options, "r", 4), _number(options, "num_vectors", 256)
    length = _number(options, "vector_length", _block(chosen, 256))
    choices = chosen.total(lambda a, b: rank * bank * (a + b) / length)
    base = common(shape, chosen, bank * length + choices)
    return replace(base, inner_values=chosen.each(lambda _a, _b: rank))


def _c3a(shape: ModelShape, chosen: Targets, options: Options) -> Adapter:
    """Blocks of each matrix that turn round, one row of each block: a Fourier transform of the input, in fp32."""
    block = _number(options, "block_size", _block(chosen, 256))
    base = _without_inputs(common(shape, chosen, chosen.total(lambda a, b: a * b / block)))
    return replace(base, wide_values=chosen.each(lambda a, _b: a))


def _block(chosen: Targets, most: int) -> int:
    """Return the largest block that divides every width, which is what the trainer takes."""
    widths = math.gcd(*(width for one in chosen.linears for width in (one.width_in, one.width_out)))
    return next(block for block in range(most, 0, -1) if widths % block == 0)


def _lokr_parameters(options: Options, a: int, b: int) -> float:
    """Kronecker factors nearest to the square root of each width; the larger one is itself of low rank."""
    rank = _number(options, "r", 8)
    (small_a, large_a), (small_b, large_b) = _factors(a), _factors(b)
    large = rank * (large_a + large_b) if rank < max(large_a, large_b) / 2 else large_a * large_b
    return small_a * small_b + large


def _factors(width: int) -> tuple[int, int]:
    small = next(divisor for divisor in range(math.isqrt(width), 0, -1) if width % divisor == 0)
    return small, width // small


def _road(shape: ModelShape, chosen: Targets, options: Options) -> Adapter:
    """An angle and a length for each pair of outputs, or more of them: outputs as they were and turned, in fp32."""
    each = {"road_1": 1, "road_2": 2, "road_4": 4}.get(str(options.get("variant", "road_1")), 1)
    base = _without_inputs(common(shape, chosen, chosen.total(lambda _a, b: each * b)))
    return replace(base, wide_values=2 * chosen.each(lambda _a, b: b))


SIZES: Mapping[PeftType, Size] = {
    PeftType.IA3: _ia3,
    PeftType.ADALORA: _adalora,
    PeftType.PROMPT_TUNING: _prompt,
    PeftType.PREFIX_TUNING: _prefix,
    PeftType.P_TUNING: _p_tuning,
    PeftType.VERA: _vera,
    PeftType.OFT: _oft,
    PeftType.BOFT: _boft,
    PeftType.LOHA: _in_full(lambda o, a, b: 2 * _number(o, "r", 8) * (a + b)),
    PeftType.LOKR: _in_full(_lokr_parameters),
    PeftType.FOURIERFT: _in_full(lambda o, _a, _b: _number(o, "n_frequency", 1000)),
    PeftType.WAVEFT: _in_full(lambda o, _a, _b: _number(o, "n_frequency", 2592)),
    PeftType.HRA: _hra,
    PeftType.LN_TUNING: _norms,
    PeftType.MISS: _miss,
    PeftType.RANDLORA: _randlora,
    PeftType.VBLORA: _vblora,
    PeftType.TRAINABLE_TOKENS: _tokens,
    PeftType.C3A: _c3a,
    PeftType.DELORA: _low_rank(8, lambda rank, a, b: rank * (a + b) + 1, inner=2),
    PeftType.GRALORA: _low_rank(32, lambda rank, a, b: rank * (a + b), inner=2),
    PeftType.HIRA: _in_full(lambda o, a, b: _number(o, "r", 32) * (a + b)),
    PeftType.ROAD: _road,
    PeftType.SHIRA: _shira,
}
