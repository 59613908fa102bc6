"""Which technique serves which scenario: the table that the project promises, and what to take where it says no.

The table is the users' word. Where a measurement says otherwise the cell has a note, and the answer stays.

Not here: which methods `auto` tries, and in which order (`planning.methods`).
"""

from __future__ import annotations

import enum
import functools

from finetune_operator.api.v1alpha1.model import ApiModel
from finetune_operator.api.v1alpha1.spec import Task
from finetune_operator.api.v1alpha1.technique import Goal
from finetune_operator.planning.catalog import lookup


class Technique(enum.StrEnum):
    """The columns of the table, left to right."""

    LORA = "lora"
    QLORA = "qlora"
    PEFT = "peft"
    DEEPSPEED = "deepspeed"
    ZERO = "zero"
    DORA = "dora"


class Note(ApiModel):
    """What a measurement says of one cell."""

    technique: Technique
    text: str


class Scenario(ApiModel):
    """One row of the table."""

    id: str
    description: str
    serves: tuple[Technique, ...]
    because: str
    tasks: tuple[Task, ...] = ()
    goals: tuple[Goal, ...] = ()
    notes: tuple[Note, ...] = ()


class Advice(ApiModel):
    """One cell of the table: yes, or what to take instead and why, and what a measurement adds."""

    scenario: str
    technique: Technique
    serves: bool
    instead: tuple[Technique, ...] = ()
    reason: str = ""
    note: str = ""


@functools.cache
def scenarios() -> tuple[Scenario, ...]:
    """Return every row of the table, top to bottom."""
    return tuple(Scenario.model_validate(entry) for entry in lookup.read("techniques.yaml"))


@functools.cache
def table() -> tuple[Advice, ...]:
    """Return every cell of the table, row by row."""
    return tuple(_cell(row, technique) for row in scenarios() for technique in Technique)


def advice(scenario: str, technique: Technique) -> Advice:
    """Return one cell of the table.

    Raises:
        KeyError: there is no such scenario.
    """
    cells = {(cell.scenario, cell.technique): cell for cell in table()}
    return cells[scenario, technique]


def serves(scenario: str, technique: Technique) -> bool:
    """Tell whether the table says yes."""
    return advice(scenario, technique).serves


def serves_goal(technique: Technique, goal: Goal) -> bool:
    """Tell whether the table says yes to every scenario that stands for the goal."""
    return all(technique in row.serves for row in scenarios_of_goal(goal))


def scenarios_of_goal(goal: Goal) -> tuple[Scenario, ...]:
    """Return the scenarios that stand for a goal."""
    return tuple(row for row in scenarios() if goal in row.goals)


def scenarios_of_task(task: Task) -> tuple[Scenario, ...]:
    """Return the scenarios that a task belongs to."""
    return tuple(row for row in scenarios() if task in row.tasks)


def _cell(row: Scenario, technique: Technique) -> Advice:
    yes = technique in row.serves
    return Advice(
        scenario=row.id,
        technique=technique,
        serves=yes,
        instead=() if yes else row.serves,
        reason="" if yes else row.because,
        note=" ".join(note.text for note in row.notes if note.technique is technique),
    )
