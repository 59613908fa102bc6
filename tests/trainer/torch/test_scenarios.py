"""A job of each scenario and of each technique, planned, trained in fresh processes and loaded again."""

import cells
import pytest
import running
from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import Technique

QUICK = (
    "adapt-to-domain/deepspeed",
    "nlp-tasks/zero",
    "question-answering/peft",
    "chatbot/lora",
    "creative-generation/dora",
    "reduce-cost/lora",
    "reduce-memory/qlora",
    "fewer-parameters/peft",
    "aggregate-gpu-memory/dora",
)
"""About half a minute each on two cores; `make scenarios` runs all."""


def test_every_scenario_and_every_technique_is_among_them():
    scenarios, techniques = zip(*(name.split("/") for name in QUICK), strict=True)
    assert set(scenarios) == {row.id for row in catalog.scenarios()}
    assert set(techniques) == set(Technique)


@pytest.mark.parametrize("name", QUICK)
def test_held_out_rows_are_answered_better_and_as_well_by_what_is_delivered(name, samples, tmp_path):
    (cell,) = [one for one in cells.cells() if one.name == name]
    figures = running.measure(cell, samples, tmp_path)
    assert figures.is_better
    assert figures.is_kept
