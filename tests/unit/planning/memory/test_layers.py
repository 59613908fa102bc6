"""What one layer keeps for one token, against what was counted tensor by tensor (tests/fake/saved.py)."""

import dataclasses
import typing

import pytest
from any_workloads import a_workload_of, an_adapter
from configs import CONFIGS
from finetune_operator.api.v1alpha1.technique import Method, PeftType
from finetune_operator.api.v1alpha1.training import Precision
from finetune_operator.planning import catalog
from finetune_operator.planning.memory import layers
from finetune_operator.planning.memory.adapters import lora
from finetune_operator.planning.memory.workload import Attention, Quantizer, Stack

ALL = (lora.ALL_LINEAR,)
QUERY_AND_VALUE = ("q_proj", "v_proj", "qkv_proj", "query_key_value", "query", "value")
LLAMA = catalog.find("llama-3.2-3b")

CAST = Stack()
UNCAST = Stack(autocast=False)
EAGER = Stack(autocast=False, attention=Attention.EAGER)


class Kind(typing.NamedTuple):
    """A way to train: its adapter, if any, and how matrices are cast."""

    method: Method = Method.LORA
    targets: tuple[str, ...] = ALL
    adapter_bytes: int = 4
    stack: Stack = UNCAST
    precision: Precision = Precision.BF16


FULL = Kind(Method.FULL)
MIXED = Kind(Method.FULL, stack=CAST, precision=Precision.BF16_MIXED)
NARROW = Kind(adapter_bytes=2)
WIDE = Kind()
SOME = Kind(targets=QUERY_AND_VALUE)
DORA = Kind(Method.DORA)
AUTOCAST = Kind(stack=CAST)
QUANTIZED = Kind(Method.QLORA, stack=CAST)

# model, kind, bytes counted of its second layer for each of 1904 tokens (336 of BERT)
COUNTED = {
    "everything of a Phi-3, whose attention is copied": ("phi-3-mini", FULL, 157_832),
    "everything of a Phi-3 in fp32": ("phi-3-mini", MIXED, 170_120),
    "adapters of a Phi-3 in 16 bits": ("phi-3-medium", NARROW, 253_672),
    "adapters of a Phi-3 in fp32": ("phi-4-mini", WIDE, 168_168),
    "everything of a Llama": ("llama-3.1-8b", FULL, 200_840),
    "everything of a Llama in fp32": ("llama-3.1-8b", MIXED, 241_800),
    "adapters of a Llama in fp32": ("llama-3.1-8b", WIDE, 295_272),
    "adapters of a Llama in 16 bits": ("llama-3.1-8b", NARROW, 184_568),
    "adapters of queries and values": ("llama-3.1-8b", SOME, 172_232),
    "adapters of a Llama under autocast": ("llama-3.1-8b", AUTOCAST, 217_336),
    "DoRA of a Llama": ("llama-3.2-1b", DORA, 299_368),
    "everything of a Qwen with norms of its heads": ("qwen3-8b", FULL, 215_336),
    "the same in fp32": ("qwen3-8b", MIXED, 256_296),
    "everything of a Gemma with four wide norms": ("gemma-3-4b", FULL, 218_912),
    "adapters of a Gemma, most of whose layers see a window": ("gemma-3-4b", WIDE, 235_520),
    "everything of a GPT-NeoX, whose norms share their input": ("stablelm-base-alpha-3b", FULL, 147_592),
    "adapters of a GPT-NeoX under autocast, which lifts its norms": ("stablelm-base-alpha-3b", AUTOCAST, 172_240),
    "everything of a Falcon, side by side and always masked": ("falcon-7b", FULL, 113_124),
    "adapters of a Falcon in 16 bits, which share one input": ("falcon-7b", NARROW, 113_188),
    "everything of a BERT": ("bert-base", FULL, 26_168),
    "everything of a BERT in fp32": ("bert-base", MIXED, 32_320),
    "adapters of a BERT under autocast": ("bert-base", AUTOCAST, 33_952),
    "everything of a GPT-2, whose GELU is spelled out and whose results are dropped out": ("gpt2-medium", FULL, 59_464),
    "adapters of a GPT-2": ("gpt2-medium", WIDE, 75_976),
    "everything of an OPT, whose ReLU keeps what the next matrix reads": ("opt-1.3b", FULL, 53_384),
    "adapters of an OPT, which cast their own inputs": ("opt-1.3b", WIDE, 119_112),
    "everything of a BLOOM, whose attention is written out": ("bloom-560m", FULL, 215_560),
    "adapters of a GPT-J, which multiplies queries and keys in fp32": ("gpt-j-6b", WIDE, 511_172),
    "everything of a Cohere, whose one norm centres twice": ("command-r", FULL, 360_708),
    "everything of a DeBERTa, whose distances are projected in each layer": (
        "deberta-v3-base",
        FULL,
        78_104 + 2_752_518 / 336,
    ),
    "adapters of a DeBERTa, which cast its distances too": ("deberta-v3-base", WIDE, 95_192 + 4_751_366 / 336),
    "4 bits of a BERT under autocast, which lifts all between": ("bert-base", QUANTIZED, 38_560),
    "4 bits of a GPT-NeoX under autocast": ("stablelm-base-alpha-3b", QUANTIZED, 172_240),
    "4 bits of a Falcon under autocast": ("falcon-7b", QUANTIZED, 167_720),
    "4 bits of a Llama under autocast, whose norms stay narrow": ("llama-3.1-8b", QUANTIZED, 217_336),
}


def shape_named(model):
    return catalog.find(model) or catalog.from_config(CONFIGS[model])


def work_of(shape, kind, **facts):
    make = lora.dora if kind.method is Method.DORA else lora.lora
    usual = a_workload_of(
        shape,
        kind.method,
        adapter=None if kind.method is Method.FULL else make(shape, 8, kind.targets),
        micro_batch_size=1,
        sequence_length=1904 if shape.kind is catalog.ModelKind.DECODER else 336,
        adapter_bytes=kind.adapter_bytes,
        stack=kind.stack,
        precision=kind.precision,
    )
    return dataclasses.replace(usual, **facts)


@pytest.mark.parametrize(("model", "kind", "want"), COUNTED.values(), ids=COUNTED)
def test_a_layer_keeps_what_was_counted(model, kind, want):
    shape = shape_named(model)
    assert layers.saved(shape, work_of(shape, kind)) == pytest.approx(want, rel=0.007)


def test_lifted_norms_make_all_between_4_bit_matrices_wide():
    lifted = Kind(Method.QLORA, stack=Stack(lifted=True))
    assert saved(lifted) - saved(QUANTIZED) == 2 * 3 * LLAMA.intermediate - 2 * LLAMA.query_width
    assert layers.checkpoint(LLAMA, work_of(LLAMA, lifted)) == 4 * LLAMA.hidden


def test_4_bits_of_a_gelu_in_parts_keep_what_was_counted():
    assert saved(QUANTIZED, catalog.find("phi-2")) == pytest.approx(245_992, rel=0.001)


@pytest.mark.parametrize(("model", "want"), {"t5-base": 107_876, "mt5-base": 138_596, "bart-base": 68_468}.items())
def test_an_encoder_decoder_keeps_what_was_counted_of_both_sides(model, want):
    shape = shape_named(model)
    assert 2 * layers.saved(shape, work_of(shape, FULL)) == pytest.approx(want, rel=0.007)


def saved(kind=WIDE, shape=LLAMA, **facts):
    return layers.saved(shape, work_of(shape, kind, **facts))


SCORE = 24 * 1904  # heads and columns of a Llama-3.2-3B


def test_eager_attention_keeps_scores_in_place_of_a_sum():
    repeated = 2 * 2 * (LLAMA.query_width - LLAMA.kv_width) - 2 * LLAMA.query_width
    assert saved(stack=EAGER) - saved() == 6 * SCORE + repeated - 4 * LLAMA.heads


def test_eager_attention_of_adapters_in_16_bits_keeps_its_output_too():
    wide, narrow = (saved(kind, stack=EAGER) - saved(kind) for kind in (WIDE, NARROW))
    assert narrow - wide == 2 * LLAMA.query_width


def test_capped_scores_are_kept_once_more():
    gemma = catalog.find("gemma-2-9b")
    assert saved(FULL, gemma, stack=EAGER) == pytest.approx(520_208, rel=0.001)


def test_capped_scores_are_kept_unless_another_kernel_is_named():
    gemma = catalog.find("gemma-2-9b")
    flash = Stack(autocast=False, attention=Attention.FLASH)
    assert saved(WIDE, gemma) == saved(WIDE, gemma, stack=EAGER) > saved(WIDE, gemma, stack=flash)


def test_scores_of_an_encoder_are_dropped_out():
    bert = catalog.find("bert-base")
    scores = {stack: saved(Kind(stack=stack), bert) for stack in (UNCAST, CAST)}
    eager = {
        stack: saved(Kind(stack=dataclasses.replace(stack, attention=Attention.EAGER)), bert)
        for stack in (UNCAST, CAST)
    }
    kept = [eager[stack] - scores[stack] for stack in (UNCAST, CAST)]
    assert kept[1] - kept[0] == 2 * 12 * 336


def test_padding_gives_heads_that_share_keys_copies_and_keeps_a_mask():
    padded = Stack(autocast=False, attention=Attention.PADDED)
    assert saved(stack=padded) - saved() == 4 * (LLAMA.query_width - LLAMA.kv_width) + 2 * 1904


def test_padding_of_an_encoder_decoder_gives_each_row_its_own_distances():
    shape, padded = catalog.find("t5-base"), Stack(autocast=False, attention=Attention.PADDED)
    rows = {stack: saved(WIDE, shape, stack=stack, micro_batch_size=8) for stack in (UNCAST, padded)}
    distances = 2 * shape.heads * 336
    assert rows[padded] - rows[UNCAST] == pytest.approx(distances * 7 / 8 + 1.5 * 2 * 336)


def test_a_window_counts_only_where_rows_reach_over_it():
    phi = catalog.find("phi-3-mini")
    inside, beyond = (saved(WIDE, phi, sequence_length=length) for length in (2046, 2047))
    assert beyond - inside == 2 * 2047


def test_a_window_makes_the_copy_of_the_output_needless():
    phi = catalog.find("phi-3-mini")
    inside, beyond = (saved(FULL, phi, sequence_length=length) for length in (2046, 2047))
    assert beyond - inside == 2 * 2047 - 2 * phi.query_width


def test_a_gelu_in_one_kernel_keeps_one_value():
    phi2, fused = catalog.find("phi-2"), Stack(autocast=False, fused_activation=True)
    assert saved(WIDE, phi2) - saved(WIDE, phi2, stack=fused) == 3 * 2 * phi2.intermediate


def test_a_gelu_in_parts_keeps_more_under_autocast():
    phi2 = catalog.find("phi-2")
    lifted = saved(Kind(Method.FULL, stack=CAST), phi2) - saved(FULL, phi2)
    norms_and_casts = 2 * phi2.hidden + 2 * 3 * phi2.hidden
    assert lifted == 3 * 2 * phi2.intermediate + norms_and_casts


def test_dropout_keeps_a_copy_of_each_input_and_its_mask():
    adapters = [lora.lora(LLAMA, 8, ALL, dropout=dropout) for dropout in (False, True)]
    plain, dropped = (saved(NARROW, adapter=adapter) for adapter in adapters)
    each = adapters[0].copied_inputs
    assert dropped - plain == 2 * each - 2 * adapters[0].distinct_inputs + each


def test_8_bit_matrices_keep_the_inputs_of_all_of_them():
    some_bits = {bits: saved(SOME, quantizer=bits) for bits in (Quantizer.NF4, Quantizer.INT8)}
    adapter = lora.lora(LLAMA, 8, QUERY_AND_VALUE)
    assert some_bits[Quantizer.INT8] - some_bits[Quantizer.NF4] == 2 * adapter.uncast_inputs


def test_4_bit_matrices_kept_their_inputs_in_older_libraries():
    older = Stack(autocast=False, keeps_inputs=True)
    kept = saved(NARROW, quantizer=Quantizer.NF4, stack=older) - saved(NARROW, quantizer=Quantizer.NF4)
    assert kept == 0  # every linear layer has an adapter, which keeps them already
    assert saved(SOME, quantizer=Quantizer.NF4, stack=older) > saved(SOME, quantizer=Quantizer.NF4)


def test_a_checkpoint_is_the_input_of_a_layer():
    assert layers.checkpoint(LLAMA, work_of(LLAMA, WIDE)) == 2 * LLAMA.hidden
    assert layers.checkpoint(LLAMA, work_of(LLAMA, MIXED)) == 4 * LLAMA.hidden


IN_FLIGHT = {
    "a gate of its own": ("llama-3.2-3b", NARROW, 2 * (2 * 8192 + 3072)),
    "a fused gate": ("phi-3-mini", NARROW, 2 * 3 * 8192),
    "no gate": ("bert-base", FULL, 2 * 3072),
    "no gate, and an adapter": ("bert-base", NARROW, 2 * 3072 + 2 * 3072),
    "inputs lifted to fp32": ("llama-3.2-3b", AUTOCAST, 2 * (2 * 8192 + 3072) + 4 * 8192),
    "outputs lifted to fp32": ("phi-3-mini", WIDE, 2 * 3 * 8192 + 4 * 2 * 8192),
}


@pytest.mark.parametrize(("model", "kind", "want"), IN_FLIGHT.values(), ids=IN_FLIGHT)
def test_gradients_in_passing_are_those_of_the_mlp(model, kind, want):
    shape = catalog.find(model)
    assert layers.in_flight(shape, work_of(shape, kind)) == want


def test_gradients_of_scores_are_in_passing_where_scores_are_kept():
    assert layers.in_flight(LLAMA, work_of(LLAMA, NARROW, stack=EAGER)) == 4 * SCORE


def test_a_weights_update_is_kept_once_a_layer():
    loha = an_adapter(LLAMA, Method.PEFT, PeftType.LOHA)
    work = work_of(LLAMA, WIDE, adapter=loha)
    assert layers.updates(work) == 4 * loha.weight_values > 0
    assert layers.updates(dataclasses.replace(work, stack=CAST)) == 2 * loha.weight_values
    assert layers.updates(work_of(LLAMA, FULL)) == 0


def test_a_changed_copy_of_a_weight_is_as_wide_as_the_model():
    shira = an_adapter(LLAMA, Method.PEFT, PeftType.SHIRA)
    assert layers.updates(work_of(LLAMA, WIDE, adapter=shira)) == 2 * shira.square_values > 0


def test_only_adapters_hold_weights_and_results_in_passing():
    assert layers.recomputed_weights(work_of(LLAMA, DORA)) > 0
    assert layers.scaled(work_of(LLAMA, DORA)) == 16 * LLAMA.hidden
    full = work_of(LLAMA, FULL)
    assert (layers.recomputed_weights(full), layers.scaled(full)) == (0, 0)


def test_a_quantized_matrix_is_written_out_beside_the_mlps_values():
    assert layers.beside_dequantized(LLAMA, work_of(LLAMA, NARROW)) == 2 * (8192 + 3072)


@pytest.mark.parametrize(("kind", "counted"), [(FULL, 305_288), (NARROW, 305_352), (WIDE, 358_664), (SOME, 268_456)])
def test_a_phi_3_small_keeps_its_gegelu_written_out(kind, counted):
    shape = catalog.find("phi-3-small")
    assert layers.saved(shape, work_of(shape, kind, sequence_length=512)) == pytest.approx(counted, rel=0.002)


def test_the_sparse_layers_of_a_phi_3_small_keep_a_mask_a_head_where_a_sequence_is_longer_than_what_they_see():
    shape = catalog.find("phi-3-small")
    short, long = (layers.saved(shape, work_of(shape, WIDE, sequence_length=length)) for length in (1024, 2048))
    assert long - short > 2048 * shape.heads * 2 / 2
