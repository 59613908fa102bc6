"""What a plan says of itself."""

import pytest
from builders import a_job
from finetune_operator.planning import catalog
from finetune_operator.planning.plan import Plan, plan
from finetune_operator.planning.profiles import Profiles

ROWS = {"median": 300, "p95": 900, "max": 4000, "rows": 10_000}


def planned(accelerator="nvidia-a100-80gb", model="phi-3-mini", **fields) -> Plan:
    dataset = {"source": {"claim": {"name": "data", "path": "chat.jsonl"}}, "tokens": fields.pop("tokens", ROWS)}
    hardware = {"accelerator": accelerator} | fields.pop("hardware", {})
    job = a_job(**({"model": {"name": model}, "task": "chat", "dataset": dataset, "hardware": hardware} | fields))
    answer = plan(job, Profiles())
    assert isinstance(answer, Plan), answer
    return answer


def said(answer: Plan, name: str) -> str:
    return next(f"{choice.value}: {choice.reason}" for choice in answer.choices if choice.name == name)


FULL = {"technique": {"method": "full"}}

REASONS = {
    "a method says what it saves": ({}, "technique.method", "saves"),
    "all weights save nothing": (FULL, "technique.method", "full: asked for"),
    "one device": ({}, "distribution", "one device holds the job"),
    "copies": ({"hardware": {"devicesPerNode": 2}}, "distribution", "a whole copy fits on each device"),
    "a strategy asked for": (
        {"hardware": {"devicesPerNode": 2}, "distribution": {"strategy": "fsdp"}},
        "distribution",
        "fsdp on 1 x 2 nvidia-a100-80gb: asked for",
    ),
    "sharding": (FULL | {"model": "phi-3-medium"}, "distribution", "a whole copy does not fit on each device"),
    "offloading the optimizer": (
        FULL | {"accelerator": "nvidia-t4", "hardware": {"devicesPerNode": 1}},
        "distribution",
        "the optimizer lies in the node's memory",
    ),
    "offloading parameters": (
        FULL | {"accelerator": "nvidia-t4", "model": "phi-3-small", "hardware": {"devicesPerNode": 1}},
        "distribution",
        "optimizer and parameters offloaded",
    ),
    "checkpointing against fewer rows": (
        {"accelerator": "nvidia-t4", "technique": {"method": "qlora"}},
        "training.gradientCheckpointing",
        "of fewer rows a step would take longer",
    ),
    "activations that fit": ({}, "training.gradientCheckpointing", "would only cost time"),
    "the whole batch": ({"training": {"batchSize": 2}}, "training.microBatchSize", "fits at once"),
    "the whole batch on two": (
        {"training": {"batchSize": 2}, "hardware": {"devicesPerNode": 2}},
        "training.microBatchSize",
        "fits at once on 2 devices",
    ),
    "parts of a batch": ({}, "training.microBatchSize", "make one step of 32 rows"),
    "a micro-batch asked for": ({"training": {"microBatchSize": 2}}, "training.microBatchSize", "2: asked for"),
    "memory by term": ({}, "memory", "weights"),
    "memory beside the devices": ({}, "memory", "beside the devices"),
    "time by the accelerator": ({}, "time", "313 steps; 47% of NVIDIA A100 80 GB's dense peak"),
    "time by the processors": ({"accelerator": "cpu", "model": "tiny-phi3"}, "time", "by the processors"),
}


@pytest.mark.parametrize(("fields", "name", "words"), REASONS.values(), ids=REASONS)
def test_a_choice_says_why(fields, name, words):
    assert words in said(planned(**fields), name)


WARNINGS = {
    "quantization on processors": (
        {"accelerator": "cpu", "model": "tiny-phi3", "technique": {"method": "qlora"}},
        "saves memory, not time",
    ),
    "merging quantized weights": ({"technique": {"method": "qlora"}}, "quantization error"),
    "offloading": (FULL | {"accelerator": "nvidia-t4"}, "wait for the node's"),
    "a device of which nobody published times": ({"accelerator": "nvidia-l4"}, "a wide range"),
    "unknown time": ({"tokens": {"median": 1, "p95": 2, "max": 3}}, "time and cost are unknown"),
    "a very long run": ({"accelerator": "cpu", "technique": {"method": "qlora"}}, "days"),
    "longer than the model was trained for": (
        {"model": "llama-2-7b", "training": {"sequenceLength": 8192}},
        "8192 tokens are more than the 4096",
    ),
    "a model that brings its own code": ({"model": "Qwen/Qwen-7B"}, "running code that comes with it"),
    "storage that goes with the pod": ({"checkpoints": {"storage": {"ephemeral": {}}}}, "nothing can resume"),
}


def test_an_architecture_that_nobody_knows_is_warned_of():
    numbers = {"architecture": "brand-new", "hiddenSize": 64, "layers": 2, "attentionHeads": 4}
    numbers |= {"intermediateSize": 128, "vocabularySize": 1000}
    job = a_job(model={"name": "mine", "shape": numbers}, task="causal-lm", hardware={"accelerator": "nvidia-l4"})
    (warning,) = (one for one in plan(job, Profiles()).warnings if "architecture" in one)
    assert warning.startswith("unknown architecture brand-new computed as a Llama-like decoder")


@pytest.mark.parametrize(("fields", "words"), WARNINGS.values(), ids=WARNINGS)
def test_what_a_person_should_know_is_a_warning(fields, words):
    assert any(words in warning for warning in planned(**fields).warnings)


PLAIN = {"quantization": {"type": "none"}}
TWO = {"hardware": {"devicesPerNode": 2}}
COPIES = TWO | {"distribution": {"strategy": "ddp"}}


def towards(*goals, **technique):
    return {"technique": {"method": "auto", "goals": list(goals), **technique}}


def engine(stage):
    return TWO | {"distribution": {"strategy": "deepspeed", "zeroStage": stage}}


CHEAPER = "lora, qlora, deepspeed or zero"
SMALLER = "qlora, deepspeed, zero or dora"
FEWER = "qlora, peft or dora"
POOLED = "deepspeed, zero or dora"

SAYS_NO = {
    ("reduce-cost", "peft"): (towards("fewer-parameters", "reduce-memory", "reduce-cost", **PLAIN), CHEAPER),
    ("reduce-cost", "dora"): (towards("reduce-memory", "reduce-cost", **PLAIN), CHEAPER),
    ("reduce-memory", "lora"): (towards("reduce-cost", "reduce-memory", **PLAIN), SMALLER),
    ("reduce-memory", "peft"): (towards("fewer-parameters", "reduce-memory", "reduce-cost", **PLAIN), SMALLER),
    ("fewer-parameters", "lora"): (towards("reduce-cost", "fewer-parameters", **PLAIN), FEWER),
    ("fewer-parameters", "deepspeed"): (towards("fewer-parameters") | engine(0), FEWER),
    ("fewer-parameters", "zero"): (towards("fewer-parameters") | engine(2), FEWER),
    ("aggregate-gpu-memory", "lora"): (towards("reduce-cost", "aggregate-gpu-memory") | COPIES, POOLED),
    ("aggregate-gpu-memory", "qlora"): (towards("reduce-memory", "aggregate-gpu-memory") | COPIES, POOLED),
    ("aggregate-gpu-memory", "peft"): (towards("fewer-parameters", "aggregate-gpu-memory") | COPIES, POOLED),
}
"""Every cell of the table that says no: a job whose plan comes to it all the same, and what it is to take instead."""


@pytest.mark.parametrize(("cell", "case"), SAYS_NO.items(), ids=["-".join(cell) for cell in SAYS_NO])
def test_where_the_table_says_no_the_plan_names_what_to_take_instead(cell, case):
    (goal, technique), (fields, instead) = cell, case
    answer = planned(**fields)
    assert technique in {answer.method.value, "zero" if answer.sharding.stage else answer.sharding.strategy.value}
    assert any(
        one.startswith(f"goal {goal} is not served by {technique}; take {instead}: ") for one in answer.warnings
    ), answer.warnings


def test_every_cell_that_says_no_has_its_job():
    assert SAYS_NO.keys() == {(cell.scenario, cell.technique.value) for cell in catalog.table() if not cell.serves}


SERVED = {
    "by method and engine": towards("reduce-memory") | engine(0),
    "by sharding, whatever the method": towards("reduce-cost", "aggregate-gpu-memory") | TWO,
    "by sharding of all weights": towards("aggregate-gpu-memory", "quality") | TWO,
    "by FSDP": towards("aggregate-gpu-memory") | TWO | {"distribution": {"strategy": "fsdp"}},
    "by dora, as the table says": towards("reduce-memory", "aggregate-gpu-memory", **PLAIN) | COPIES,
}


@pytest.mark.parametrize("fields", SERVED.values(), ids=SERVED)
def test_a_goal_that_is_served_is_no_reason_to_warn(fields):
    assert not [one for one in planned(**fields).warnings if one.startswith("goal ")]


def test_all_weights_in_copies_pool_no_memory():
    (warning,) = [one for one in planned(**towards("aggregate-gpu-memory") | COPIES).warnings if "goal" in one]
    assert warning.startswith(f"goal aggregate-gpu-memory is not served by full; take {POOLED}: ")


def test_a_plain_job_has_no_warnings():
    assert planned().warnings == ()
