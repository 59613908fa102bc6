"""What a plan says of itself."""

import pytest
from builders import a_job
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
    "a goal that is not served": (
        {"technique": {"method": "auto", "goals": ["reduce-memory", "reduce-cost"], "quantization": {"type": "none"}}},
        "goal reduce-cost is not served by dora; take lora, qlora, deepspeed or zero: cost falls with",
    ),
    "a goal that sharding adds nothing to": (
        {
            "technique": {"method": "auto", "goals": ["fewer-parameters"]},
            "distribution": {"strategy": "deepspeed", "zeroStage": 2},
            "hardware": {"nodes": 2},
        },
        "goal fewer-parameters is not served by zero; take qlora, peft or dora: fewest weights learn",
    ),
    "a goal that the engine alone adds nothing to": (
        {
            "technique": {"method": "auto", "goals": ["fewer-parameters"]},
            "distribution": {"strategy": "deepspeed", "zeroStage": 0},
            "hardware": {"nodes": 2},
        },
        "goal fewer-parameters is not served by deepspeed; take qlora, peft or dora",
    ),
    "longer than the model was trained for": (
        {"model": "llama-2-7b", "training": {"sequenceLength": 8192}},
        "8192 tokens are more than the 4096",
    ),
    "storage that goes with the pod": ({"checkpoints": {"storage": {"ephemeral": {}}}}, "nothing can resume"),
}


@pytest.mark.parametrize(("fields", "words"), WARNINGS.values(), ids=WARNINGS)
def test_what_a_person_should_know_is_a_warning(fields, words):
    assert any(words in warning for warning in planned(**fields).warnings)


def test_a_goal_that_method_and_sharding_serve_is_no_reason_to_warn():
    goal = {"method": "auto", "goals": ["reduce-memory"]}
    shared = {"distribution": {"strategy": "deepspeed", "zeroStage": 0}, "hardware": {"nodes": 2}}
    assert not [one for one in planned(technique=goal, **shared).warnings if one.startswith("goal ")]


def test_a_plain_job_has_no_warnings():
    assert planned().warnings == ()
