"""Which methods auto tries, and in which order."""

import pytest
from builders import a_job
from finetune_operator.api.v1alpha1.technique import Goal
from finetune_operator.planning.methods import allowed, candidates, unserved_goals

AUTO = {"method": "auto"}

ORDERS = {
    "nothing said": (AUTO, ["lora", "qlora"]),
    "a method asked for": ({"method": "dora"}, ["dora"]),
    "quality": (AUTO | {"goals": ["quality"]}, ["full", "dora", "lora", "qdora", "qlora"]),
    "quality, with an adapter's settings": (
        AUTO | {"goals": ["quality"], "lora": {"rank": 4}},
        ["dora", "lora", "qdora", "qlora"],
    ),
    "quality, without quantization": (
        AUTO | {"goals": ["quality"], "quantization": {"type": "none"}},
        ["full", "dora", "lora"],
    ),
    "cost": (AUTO | {"goals": ["reduce-cost"]}, ["lora", "qlora"]),
    "memory": (AUTO | {"goals": ["reduce-memory"]}, ["qlora", "dora"]),
    "few parameters": (AUTO | {"goals": ["fewer-parameters"]}, ["peft", "qlora", "dora"]),
    "all memory": (AUTO | {"goals": ["aggregate-gpu-memory"]}, ["full", "dora", "lora"]),
    "cost first, then memory: lora does not serve that": (
        AUTO | {"goals": ["reduce-cost", "reduce-memory"]},
        ["qlora"],
    ),
    "few parameters first, then cost": (AUTO | {"goals": ["fewer-parameters", "reduce-cost"]}, ["qlora"]),
    "goals that nothing serves together: the first one counts": (
        AUTO | {"goals": ["reduce-memory", "reduce-cost"], "quantization": {"type": "none"}},
        ["dora"],
    ),
}


@pytest.mark.parametrize(("technique", "want"), ORDERS.values(), ids=ORDERS)
def test_methods_are_tried_in_the_order_of_the_goals(technique, want):
    assert [candidate.method for candidate in candidates(a_job(technique=technique))] == want


@pytest.mark.parametrize("goal", Goal)
def test_every_candidate_says_what_speaks_for_it(goal):
    found = candidates(a_job(technique=AUTO | {"goals": [goal.value]}))
    assert all(goal.value in candidate.reason for candidate in found)


def test_a_goal_that_a_method_does_not_serve_is_named():
    job = a_job(technique=AUTO | {"goals": ["quality", "reduce-memory"]})
    assert unserved_goals(job, "lora") == (Goal.REDUCE_MEMORY,)
    assert unserved_goals(job, "full") == (Goal.REDUCE_MEMORY,)
    assert unserved_goals(job, "qlora") == ()


def test_quantization_none_bars_methods_that_quantize():
    job = a_job(technique=AUTO | {"quantization": {"type": "none"}})
    assert [allowed(job, method) for method in ("lora", "qlora", "qdora")] == [True, False, False]
