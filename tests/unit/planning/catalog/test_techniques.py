"""The table of what serves which scenario, all 54 cells."""

import pytest
from finetune_operator.api.v1alpha1.spec import Task
from finetune_operator.api.v1alpha1.technique import Goal
from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import Technique

TABLE = {
    #                     LoRA QLoRA PEFT DeepSpeed ZeRO DoRA
    "adapt-to-domain": "Y    Y     Y    Y         Y    Y",
    "nlp-tasks": "Y    Y     Y    Y         Y    Y",
    "question-answering": "Y    Y     Y    Y         Y    Y",
    "chatbot": "Y    Y     Y    Y         Y    Y",
    "creative-generation": "Y    Y     Y    Y         Y    Y",
    "reduce-cost": "Y    Y     N    Y         Y    N",
    "reduce-memory": "N    Y     N    Y         Y    Y",
    "fewer-parameters": "N    Y     Y    N         N    Y",
    "aggregate-gpu-memory": "N    N     N    Y         Y    Y",
}
CELLS = [
    (scenario, technique, word == "Y")
    for scenario, row in TABLE.items()
    for technique, word in zip(Technique, row.split(), strict=True)
]


def test_the_table_has_nine_rows_of_six_columns():
    assert [row.id for row in catalog.scenarios()] == list(TABLE)
    assert len(catalog.table()) == len(CELLS) == 54


@pytest.mark.parametrize(("scenario", "technique", "yes"), CELLS)
def test_a_cell_says_what_was_promised(scenario, technique, yes):
    assert catalog.serves(scenario, technique) is yes


@pytest.mark.parametrize(("scenario", "technique"), [cell[:2] for cell in CELLS if not cell[2]])
def test_where_the_table_says_no_it_says_what_to_take_instead(scenario, technique):
    advice = catalog.advice(scenario, technique)
    assert advice.instead
    assert all(catalog.serves(scenario, other) for other in advice.instead)
    assert advice.reason


@pytest.mark.parametrize(("scenario", "technique"), [cell[:2] for cell in CELLS if cell[2]])
def test_where_the_table_says_yes_there_is_nothing_to_take_instead(scenario, technique):
    advice = catalog.advice(scenario, technique)
    assert (advice.instead, advice.reason) == ((), "")


def test_a_measurement_that_disagrees_is_noted_and_changes_nothing():
    advice = catalog.advice("fewer-parameters", Technique.LORA)
    assert not advice.serves
    assert "12.6 million" in advice.note


def test_the_noted_figure_is_what_the_shape_gives():
    shape = catalog.find("phi-3-mini")
    weights = shape.layers * sum(8 * (one.width_in + one.width_out) for one in shape.linears)
    assert round(weights / 1e6, 1) == 12.6
    assert round(shape.parameters / 1e9, 1) == 3.8


def test_an_unknown_scenario_is_an_error():
    with pytest.raises(KeyError):
        catalog.serves("world-peace", Technique.LORA)


@pytest.mark.parametrize("goal", Goal)
def test_every_goal_stands_for_a_scenario(goal):
    assert catalog.scenarios_of_goal(goal)


@pytest.mark.parametrize("goal", sorted(set(Goal) - {Goal.QUALITY}))
def test_a_goal_is_called_as_its_scenario(goal):
    assert [row.id for row in catalog.scenarios_of_goal(goal)] == [goal]


@pytest.mark.parametrize("task", Task)
def test_every_task_belongs_to_a_scenario_that_everything_serves(task):
    assert catalog.scenarios_of_task(task)
    assert all(set(row.serves) == set(Technique) for row in catalog.scenarios_of_task(task))


def test_a_technique_serves_a_goal_as_the_table_says():
    assert catalog.serves_goal(Technique.QLORA, Goal.REDUCE_MEMORY)
    assert not catalog.serves_goal(Technique.PEFT, Goal.REDUCE_COST)
    assert all(catalog.serves_goal(technique, Goal.QUALITY) for technique in Technique)
