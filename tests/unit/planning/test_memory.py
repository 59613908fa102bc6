"""What the memory prediction guarantees."""

import csv
import dataclasses
import pathlib

import pytest
from finetune_operator.api.v1alpha1.technique import Method, QuantizationType
from finetune_operator.planning import catalog
from finetune_operator.planning.adapters import adapter, default_targets
from finetune_operator.planning.memory import CLASSIFICATION_STACK, MIB, Workload, estimate, readable
from hypothesis import given
from hypothesis import strategies as some

MODELS = some.sampled_from(catalog.models())


def work(shape, method=Method.LORA, **facts) -> Workload:
    usual = Workload(
        method=method,
        quantization=(QuantizationType.NF4, True) if method is Method.QLORA else None,
        adapter=None if method is Method.FULL else adapter(shape, 8, default_targets(shape)),
        micro_batch_size=4,
        sequence_length=128,
        gradient_checkpointing=False,
        generative=shape.kind == "decoder",
    )
    return dataclasses.replace(usual, **facts)


@given(MODELS, some.sampled_from([Method.FULL, Method.LORA, Method.QLORA]), some.integers(1, 64), some.integers(1, 64))
def test_a_larger_micro_batch_never_needs_less(shape, method, one, other):
    small, large = sorted((one, other))
    need = [estimate(shape, work(shape, method, micro_batch_size=n)).peak for n in (small, large)]
    assert need[0] <= need[1]


@given(MODELS, some.integers(1, 64))
def test_checkpointing_never_needs_more(shape, size):
    plain = estimate(shape, work(shape, micro_batch_size=size))
    checkpointed = estimate(shape, work(shape, micro_batch_size=size, gradient_checkpointing=True))
    assert checkpointed.peak <= plain.peak


@given(MODELS)
def test_the_methods_are_ordered_as_everybody_knows(shape):
    need = {
        method: estimate(shape, work(shape, method, micro_batch_size=1)).peak for method in Method if method != "auto"
    }
    assert need[Method.LORA] < need[Method.FULL]


@given(MODELS)
def test_terms_add_up_and_never_fall_below_the_stack(shape):
    found = estimate(shape, work(shape))
    assert found.peak == sum(size for _name, size in found.terms) > CLASSIFICATION_STACK


MEASURED = list(csv.DictReader((pathlib.Path(__file__).parents[2] / "data/cpu_memory.csv").read_text().splitlines()))


@pytest.mark.parametrize("row", MEASURED, ids=lambda row: "/".join(list(row.values())[:5]))
def test_the_peak_of_a_real_run_is_within_the_prediction_and_not_far_below(row):
    """Peak resident memory of whole runs of the trainer, on two cores; see bench/."""
    shape, (method, *quantization) = catalog.find(row["model"]), row["method"].split("-")
    predicted = estimate(
        shape,
        work(
            shape,
            Method(method),
            quantization=(QuantizationType(quantization[0]), True) if quantization else None,
            micro_batch_size=int(row["micro_batch"]),
            sequence_length=int(row["sequence_length"]),
            generative=row["task"] != "text-classification",
        ),
    )
    # the measured runs are a few steps long, and the heap of a quantized one grows with more of them
    at_most = 1.6 if quantization else 1.2
    assert 1.0 <= predicted.peak / (float(row["peak_mib"]) * MIB) <= at_most


def test_sizes_read_well():
    assert readable(3 * 1024 * MIB) == "3.0 GiB"
    assert readable(12 * MIB) == "12 MiB"
