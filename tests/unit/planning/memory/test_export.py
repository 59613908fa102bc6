"""What writing a language model for ONNX Runtime needs, against measured runs of the trainer."""

import csv
import dataclasses
import pathlib

import pytest
from any_workloads import a_workload_of
from finetune_operator.api.v1alpha1.technique import Method
from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import ModelShape
from finetune_operator.planning.memory import export, host
from finetune_operator.planning.memory.estimate import MIB
from finetune_operator.planning.memory.workload import Loss, Quantizer

TINY = catalog.find("tiny-phi3")
MEASURED = list(csv.DictReader((pathlib.Path(__file__).parents[3] / "data/onnx_memory.csv").read_text().splitlines()))
METHODS = {"fp32": Method.LORA, "int4": Method.QLORA}


def a_measured_one(row):
    sizes = {name: int(row[name]) for name in ("hidden", "intermediate", "layers", "heads", "vocabulary")}
    sizes |= {"kv_heads": sizes["heads"], "head_dim": sizes["hidden"] // sizes["heads"]}
    shape = ModelShape.model_validate(TINY.model_dump() | sizes)
    quantizer = Quantizer.NF4_DOUBLE if row["bits"] == "int4" else None
    return shape, a_workload_of(shape, METHODS[row["bits"]], quantizer=quantizer, loss=Loss.FUSED)


@pytest.mark.parametrize("row", MEASURED, ids=lambda row: f"{row['shape']}/{row['bits']}")
def test_a_measured_builder_stays_within_the_prediction_which_is_not_far_above(row):
    """Peak resident memory of the builder's process; see bench/trainer/onnx_memory.py."""
    shape, work = a_measured_one(row)
    assert 1.0 <= export.builder(shape, work) / (int(row["builder_mib"]) * MIB) <= 1.2


TOGETHER = [row for row in MEASURED if row["together_mib"]]
"""Rows of whole runs; of the largest models the builder alone was measured."""


@pytest.mark.parametrize("row", TOGETHER, ids=lambda row: f"{row['shape']}/{row['bits']}")
def test_both_processes_together_stay_within_the_prediction_which_is_not_far_above(row):
    shape, work = a_measured_one(row)
    predicted = export.builder(shape, work) + host.stack(work)
    assert 1.0 <= predicted / (int(row["together_mib"]) * MIB) <= 1.35


def test_sizes_far_apart_were_measured_in_both_forms():
    for bits in METHODS:
        sizes = [a_measured_one(row)[0].parameters for row in MEASURED if row["bits"] == bits]
        assert len(sizes) >= 3
        assert max(sizes) > 100 * min(sizes)


def test_what_lies_in_8_bits_is_written_whole():
    work = a_workload_of(TINY, Method.QLORA, loss=Loss.FUSED)
    whole, packed = (
        export.builder(TINY, dataclasses.replace(work, quantizer=quantizer))
        for quantizer in (Quantizer.INT8, Quantizer.NF4)
    )
    assert whole < packed


def test_models_that_do_not_write_need_no_builder():
    minilm = catalog.find("all-minilm-l6-v2")
    assert export.builder(minilm, a_workload_of(minilm, Method.FULL, loss=Loss.NONE)) == 0
    assert export.builder(TINY, a_workload_of(TINY, Method.FULL, loss=Loss.NONE)) == 0
