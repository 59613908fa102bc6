"""How long a job runs, and what it costs."""

import dataclasses

import pytest
from finetune_operator.api.v1alpha1.dataset import TokenHistogram
from finetune_operator.api.v1alpha1.hardware import Hardware, Strategy
from finetune_operator.api.v1alpha1.technique import Method
from finetune_operator.api.v1alpha1.training import Precision
from finetune_operator.planning import catalog
from finetune_operator.planning.duration import Run, duration, flops, row_tokens, step_seconds, steps
from finetune_operator.planning.machines import machines
from finetune_operator.planning.memory.adapters.lora import lora
from finetune_operator.planning.memory.workload import Loss, Quantizer, Sharding, Workload
from finetune_operator.planning.profiles import GIB, Profiles

SEVEN_BILLION = catalog.find("llama-2-7b")
RUN = Run(steps=100, devices_per_node=1, nodes=1, host_bytes=8 * GIB, row_tokens=2048)


def machine(accelerator="nvidia-a100-80gb"):
    (found,) = machines(Hardware(accelerator=accelerator), Profiles())
    return found


def work(**facts) -> Workload:
    usual = Workload(
        method=Method.LORA,
        adapter=lora(SEVEN_BILLION, 8, ("all-linear",)),
        micro_batch_size=1,
        sequence_length=2048,
        precision=Precision.BF16,
        gradient_checkpointing=True,
        loss=Loss.FULL,
    )
    return dataclasses.replace(usual, **facts)


def seconds(on=None, run=RUN, **facts) -> float:
    return step_seconds(SEVEN_BILLION, work(**facts), on or machine(), run)


def test_lora_computes_four_operations_a_weight_and_two_more_when_recomputing():
    weights = SEVEN_BILLION.linear_parameters + SEVEN_BILLION.vocabulary * SEVEN_BILLION.hidden
    per_token = flops(SEVEN_BILLION, work(sequence_length=1, gradient_checkpointing=False))
    assert per_token == pytest.approx(4 * weights, rel=0.001)
    assert flops(SEVEN_BILLION, work(sequence_length=1)) == pytest.approx(6 * weights, rel=0.001)


def test_full_fine_tuning_computes_gradients_of_weights_too():
    assert flops(SEVEN_BILLION, work(adapter=None)) == pytest.approx(flops(SEVEN_BILLION, work()) * 8 / 6, rel=0.001)


def test_an_encoder_has_no_head_over_the_vocabulary():
    bert = catalog.find("bert-base-uncased")
    assert flops(bert, work(sequence_length=1, gradient_checkpointing=False)) == pytest.approx(
        4 * bert.linear_parameters, rel=0.001
    )


def test_the_published_throughput_of_an_a100_is_met_within_the_range():
    """LLaMA-2-7B with LoRA and checkpointing: 2,954 tokens a second (LLaMA-Factory), 3,151 (Qwen-7B at 2,048)."""
    assert 2048 / seconds() == pytest.approx(3050, rel=0.2)


SLOWER = {
    "quantized weights are written out in every step": {"quantizer": Quantizer.NF4},
    "more micro-batches": {"accumulation": 4},
    "every weight learns": {"adapter": None},
    "an adapter that is slower than lora": {
        "adapter": dataclasses.replace(lora(SEVEN_BILLION, 8, ("all-linear",)), slowdown=2.0)
    },
}


@pytest.mark.parametrize("facts", SLOWER.values(), ids=SLOWER)
def test_what_takes_longer(facts):
    assert seconds(**facts) > 1.1 * seconds()


def test_recomputing_takes_longer():
    assert seconds() > 1.3 * seconds(gradient_checkpointing=False)


def test_few_tokens_leave_an_accelerator_idle():
    short = dataclasses.replace(RUN, row_tokens=128)
    assert seconds(run=short) > seconds() * 128 / 2048 * 2


def test_fp32_is_slower_than_bf16():
    assert seconds(precision=Precision.FP32) > 5 * seconds()


def test_processors_take_what_they_take():
    (small,), (large,) = (
        machines(
            Hardware(profile="cpu"),
            Profiles.model_validate({"hardware": {"cpu": {"accelerator": "cpu", "cpus": cpus}}}),
        )
        for cpus in (2, 8)
    )
    assert seconds(small) == pytest.approx(4 * seconds(large))
    assert seconds(machine("cpu")) == pytest.approx(seconds(small))


def shared(*, stage=0, offload=False, devices=8, run=RUN, **facts) -> float:
    sharding = Sharding(strategy=Strategy.DEEPSPEED, stage=stage, devices=devices, offload_optimizer=offload)
    return seconds(run=run, sharding=sharding, adapter=None, **facts)


def test_what_devices_exchange_takes_time():
    alone = seconds(adapter=None)
    assert alone < shared(stage=2) < shared(stage=3) < shared(stage=3, accumulation=4)


def test_between_nodes_it_takes_longer():
    nodes = dataclasses.replace(RUN, devices_per_node=4, nodes=2)
    assert shared(stage=3, run=nodes) > shared(stage=3)


def test_an_offloaded_optimizer_takes_longer():
    assert shared(stage=2, offload=True) > shared(stage=2)
    assert shared(stage=2, offload=True, devices=1) > seconds(adapter=None)


def test_a_run_lasts_as_long_as_its_steps_and_costs_accordingly():
    once, twice = (
        duration(SEVEN_BILLION, work(), machine(), dataclasses.replace(RUN, steps=count)) for count in (1000, 2000)
    )
    assert once.low < 1000 * once.step_seconds < once.high
    assert 1.7 < twice.high / once.high < 2
    hour = machine().price(1, 1, RUN.host_bytes)
    assert once.cost_high == pytest.approx(once.high / 3600 * hour)


def test_without_steps_only_the_step_is_known():
    found = duration(SEVEN_BILLION, work(), machine(), dataclasses.replace(RUN, steps=None))
    assert (found.low, found.high, found.cost_low, found.cost_high) == (None, None, None, None)
    assert found.step_seconds > 0


def test_without_a_price_there_is_no_cost():
    found = duration(SEVEN_BILLION, work(), machine("cpu"), RUN)
    assert found.high > found.low > 0
    assert found.cost_high is None


def test_where_nobody_published_a_figure_the_range_is_wide():
    known = duration(SEVEN_BILLION, work(), machine("nvidia-a100-80gb"), RUN)
    guessed = duration(SEVEN_BILLION, work(), machine("nvidia-l4"), RUN)
    assert guessed.high / guessed.low > known.high / known.low


STEPS = {
    "the steps asked for": ({"rows": 1000, "batch": 10, "epochs": None, "max_steps": 7}, 7),
    "one epoch": ({"rows": 1000, "batch": 32, "epochs": None, "max_steps": None}, 32),
    "two and a half epochs": ({"rows": 1000, "batch": 100, "epochs": 2.5, "max_steps": None}, 25),
    "fewer rows than a batch": ({"rows": 3, "batch": 32, "epochs": 0.1, "max_steps": None}, 1),
    "nobody knows": ({"rows": None, "batch": 32, "epochs": 1.0, "max_steps": None}, None),
}


@pytest.mark.parametrize(("facts", "want"), STEPS.values(), ids=STEPS)
def test_steps_follow_from_rows_and_batch(facts, want):
    assert steps(**facts) == want


def test_rows_are_padded_to_the_longest_of_their_micro_batch():
    tokens = TokenHistogram(median=300, p95=900, max=4000)
    assert row_tokens(2048, 1, tokens) == 300
    assert row_tokens(2048, 8, tokens) == 600
    assert row_tokens(128, 8, tokens) == 128
    assert row_tokens(512, 8, None) == 512
