"""Which methods auto tries, and in which order."""

import pytest
from builders import a_job
from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.technique import Goal
from finetune_operator.planning import catalog
from finetune_operator.planning.memory.workload import ALONE, Sharding
from finetune_operator.planning.methods import TECHNIQUES, against, allowed, candidates, unserved_goals

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
    assert unserved_goals(job, "lora", ALONE) == (Goal.REDUCE_MEMORY,)
    assert unserved_goals(job, "full", ALONE) == (Goal.REDUCE_MEMORY,)
    assert unserved_goals(job, "qlora", ALONE) == ()


def test_memory_of_all_devices_is_pooled_by_sharding_alone():
    job = a_job(technique=AUTO | {"goals": ["aggregate-gpu-memory"]})
    served = {strategy: unserved_goals(job, "lora", Sharding(strategy=strategy, devices=2)) for strategy in Strategy}
    assert {strategy for strategy, goals in served.items() if not goals} == {Strategy.DEEPSPEED, Strategy.FSDP}


def test_quantization_none_bars_methods_that_quantize():
    job = a_job(technique=AUTO | {"quantization": {"type": "none"}})
    assert [allowed(job, method) for method in ("lora", "qlora", "qdora")] == [True, False, False]


NO = [(Goal(cell.scenario), cell.technique) for cell in catalog.table() if not cell.serves]


def test_the_table_says_no_ten_times_and_each_is_a_goal():
    assert len(NO) == 10


@pytest.mark.parametrize(("goal", "technique"), NO)
def test_where_the_table_says_no_auto_begins_with_something_else(goal, technique):
    first = candidates(a_job(technique=AUTO | {"goals": [goal.value]}))[0].method
    assert TECHNIQUES.get(first) is not technique
    assert TECHNIQUES.get(first) in catalog.scenarios_of_goal(goal)[0].serves or first == "full"


YES = [(goal, technique) for goal in Goal for technique in catalog.Technique if catalog.serves_goal(technique, goal)]


@pytest.mark.parametrize(("goal", "technique"), YES)
def test_where_the_table_says_yes_nothing_is_advised_against(goal, technique):
    assert against(goal, technique) == ""
