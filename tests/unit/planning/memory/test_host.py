"""What a process on a CPU needs, against measured runs of the trainer, and what holds for every step."""

import csv
import dataclasses
import json
import pathlib

import pytest
import yaml
from any_workloads import a_workload_of, an_adapter, workloads
from finetune_operator.api import keys
from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.technique import Method, PeftType
from finetune_operator.api.v1alpha1.training import Precision
from finetune_operator.planning import catalog
from finetune_operator.planning.memory import host
from finetune_operator.planning.memory.estimate import MIB
from finetune_operator.planning.memory.workload import Loss, Quantizer, Sharding
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import Profiles
from hypothesis import given
from hypothesis import strategies as some

MINILM = catalog.find("all-minilm-l6-v2")
TINY = catalog.find("tiny-phi3")
NOT_FAR = 1.2
QUANTIZERS = {"nf4": Quantizer.NF4_DOUBLE, "int8": Quantizer.INT8}
MEASURED = list(csv.DictReader((pathlib.Path(__file__).parents[3] / "data/cpu_memory.csv").read_text().splitlines()))


@pytest.mark.parametrize("row", MEASURED, ids=lambda row: "/".join(list(row.values())[:5]))
def test_a_measured_run_stays_within_the_prediction_which_is_not_far_above(row):
    """Peak resident memory of whole runs of the trainer, on two cores; see bench/."""
    shape, (method, *quantization) = catalog.find(row["model"]), row["method"].split("-")
    work = a_workload_of(
        shape,
        Method(method),
        quantizer=QUANTIZERS[quantization[0]] if quantization else None,
        micro_batch_size=int(row["micro_batch"]),
        sequence_length=int(row["sequence_length"]),
        precision=Precision.FP32,
        loss=Loss.NONE if row["task"] == "text-classification" else Loss.FUSED,
    )
    assert 1.0 <= host.estimate(shape, work).peak / (float(row["peak_mib"]) * MIB) <= NOT_FAR


def test_runs_of_many_kinds_were_measured():
    assert len({(row["model"], row["task"], row["method"]) for row in MEASURED}) >= 10


def peak(shape, work, **facts):
    return host.estimate(shape, dataclasses.replace(work, **facts)).peak


def shared(strategy, stage=0):
    return Sharding(strategy=strategy, stage=stage, devices=2)


def test_ddp_costs_a_process_no_stack_of_its_own_and_deepspeed_does():
    work = a_workload_of(TINY, Method.LORA)
    stacks = {
        strategy: dict(host.estimate(TINY, dataclasses.replace(work, sharding=shared(strategy))).terms)["stack"]
        for strategy in (Strategy.NONE, Strategy.DDP, Strategy.DEEPSPEED)
    }
    assert stacks[Strategy.NONE] == stacks[Strategy.DDP] == stacks[Strategy.DEEPSPEED] - host.DEEPSPEED_STACK


def test_a_model_whose_parameters_are_split_is_held_whole_before_that():
    whole = a_workload_of(TINY, Method.FULL, precision=Precision.FP32)
    work = dataclasses.replace(whole, sharding=shared(Strategy.DEEPSPEED, 3))
    assert dict(host.estimate(TINY, work).terms)["weights"] == 1.5 * host.FLOAT * TINY.parameters


@given(workloads(), some.integers(1, 64))
def test_a_larger_micro_batch_never_needs_less(step, other):
    shape, work = step
    small, large = sorted((work.micro_batch_size, other))
    needs = [peak(shape, work, micro_batch_size=size) for size in (small, large)]
    assert needs[0] <= needs[1]


@given(workloads())
def test_checkpointing_never_needs_more(step):
    shape, work = step
    assert peak(shape, work, gradient_checkpointing=True) <= peak(shape, work, gradient_checkpointing=False)


@given(workloads())
def test_terms_add_up_and_never_fall_below_the_stack(step):
    found = host.estimate(*step)
    assert found.peak == sum(size for _name, size in found.terms) > host.CLASSIFICATION_STACK


def terms(shape, method=Method.LORA, **facts):
    facts = {"precision": Precision.FP32} | facts
    return dict(host.estimate(shape, a_workload_of(shape, method, **facts)).terms)


def test_a_classifier_has_no_logits_and_needs_a_smaller_stack():
    classifying, chatting = terms(TINY, loss=Loss.NONE), terms(TINY)
    assert "logits" not in classifying
    assert classifying["stack"] < chatting["stack"]


def test_quantized_weights_bring_their_library():
    quantized = terms(TINY, Method.QLORA)
    assert quantized["stack"] - terms(TINY)["stack"] == host.QUANTIZATION_STACK
    assert quantized["weights"] < terms(TINY)["weights"]
    assert quantized["dequantized"] > 0


def test_an_encoders_scores_grow_with_the_square_of_the_length():
    short, long = (terms(MINILM, sequence_length=length)["activations"] for length in (512, 1024))
    assert long > 3 * short
    decoder = [terms(TINY, sequence_length=length)["activations"] for length in (512, 1024)]
    assert decoder[1] == pytest.approx(2 * decoder[0], rel=0.01)


def test_checkpointing_keeps_inputs_of_layers_and_one_layer():
    plain, checkpointed = (terms(MINILM, gradient_checkpointing=wish)["activations"] for wish in (False, True))
    inputs = 4 * MINILM.layers * 4 * 512 * MINILM.hidden
    assert checkpointed - inputs == pytest.approx(plain / MINILM.layers, rel=0.001)


def test_a_weights_update_is_kept_for_every_layer():
    loha = an_adapter(TINY, Method.PEFT, PeftType.LOHA)
    few = {"sequence_length": 8, "micro_batch_size": 1}
    written, none = (
        terms(TINY, Method.PEFT, adapter=adapter, **few)["activations"]
        for adapter in (loha, dataclasses.replace(loha, weight_values=0))
    )
    assert written - none == 4 * TINY.layers * loha.weight_values


def test_full_fine_tuning_has_no_adapter():
    assert "adapter" not in terms(TINY, Method.FULL)


def test_an_encoder_decoder_counts_the_layers_of_both_sides():
    t5 = catalog.find("t5-small")
    one_side = catalog.ModelShape.model_validate(t5.model_dump() | {"decoder_layers": 0})
    both, one = (terms(shape, Method.FULL, sequence_length=8)["activations"] for shape in (t5, one_side))
    assert both == 2 * one


SCENARIOS = pathlib.Path(__file__).parents[4] / "examples/scenarios"
RUNS = json.loads((pathlib.Path(__file__).parents[4] / "bench/scenarios/results.json").read_text("utf-8"))


@pytest.mark.parametrize("cell", RUNS)
def test_a_job_of_the_table_stays_within_its_plan_which_is_not_far_above(cell):
    """Whole runs of examples/scenarios, as `bench/scenarios` measured them: the peak of one process."""
    documents = yaml.safe_load_all((SCENARIOS / f"{cell}.yaml").read_text("utf-8"))
    (spec,) = (one["spec"] for one in documents if one and one["kind"] == keys.KIND)
    planned = plan(FineTuneJobSpec.model_validate(spec), Profiles())
    assert 1.0 <= planned.memory.peak / (RUNS[cell]["peak_mib"] * MIB) <= NOT_FAR


def test_every_cell_of_the_table_was_run():
    assert len(RUNS) >= 54


def test_blocks_that_go_straight_back_are_not_kept():
    small, large = catalog.find("all-minilm-l6-v2"), catalog.find("llama-3.1-8b")
    kept = {
        shape.name: dict(host.estimate(shape, a_workload_of(shape, Method.QLORA, quantizer=Quantizer.NF4)).terms)
        for shape in (small, large)
    }
    assert kept[small.name]["dequantized"] == 4 * small.linear_parameters
    assert kept[large.name]["dequantized"] == 4 * 4096 * 14336
    middle = catalog.find("qwen2.5-0.5b")
    found = dict(host.estimate(middle, a_workload_of(middle, Method.QLORA, quantizer=Quantizer.NF4)).terms)
    assert found["dequantized"] == 4 * 896 * 4864 + host.KEPT_AT_MOST


def test_a_quantized_model_keeps_the_file_that_it_was_loaded_from():
    work = a_workload_of(MINILM, Method.QLORA, quantizer=Quantizer.NF4)
    assert dict(host.estimate(MINILM, work).terms)["weights"] > 4 * MINILM.parameters
