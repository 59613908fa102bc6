"""The jobs of the table of scenarios and techniques, and the page that tells what they came to."""

import cells
import page
import pytest
import results
import running
import yaml
from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.spec import Task
from finetune_operator.api.v1alpha1.technique import Method
from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import Technique

PROMISED = {f"{one.scenario}/{one.technique}" for one in catalog.table() if one.serves}
CELLS = cells.cells()
RESULTS = results.read()
METHODS = {
    Technique.LORA: {Method.LORA},
    Technique.QLORA: {Method.QLORA, Method.QDORA},
    Technique.PEFT: {Method.PEFT},
    Technique.DORA: {Method.DORA, Method.QDORA},
}

MOST_SECONDS = 180

each = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)


def test_each_yes_of_the_table_is_a_job_and_no_other_is():
    assert {cell.name for cell in CELLS if not cell.is_baseline} == PROMISED
    assert len(PROMISED) == 44


def test_the_jobs_of_nlp_tasks_are_classification_names_and_translation():
    found = {cell.spec.task for cell in CELLS if cell.scenario == "nlp-tasks" and not cell.is_baseline}
    assert found == {Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION, Task.TRANSLATION}


@each
def test_a_job_is_called_as_its_cell(cell):
    assert yaml.safe_load(cell.file.read_text("utf-8"))["metadata"]["name"] == cell.name.replace("/", "-")


@each
def test_a_job_fits_and_uses_the_technique_that_it_stands_for(cell):
    plan = running.planned(cell)
    if cell.is_baseline:
        assert (plan.method, plan.devices) == (Method.FULL, 1)
    elif cell.technique in METHODS:
        assert plan.method in METHODS[Technique(cell.technique)]
    else:
        assert (plan.sharding.strategy, plan.devices) == (Strategy.DEEPSPEED, 2)
        assert plan.sharding.stage > 0 or cell.technique == Technique.DEEPSPEED


@each
def test_a_job_that_pools_memory_has_two_processes_that_share_their_states(cell):
    plan = running.planned(cell)
    if cell.scenario == "aggregate-gpu-memory" and not cell.is_baseline:
        assert plan.devices == 2
        assert plan.sharding.stage > 0


@each
def test_a_job_is_compared_with_full_fine_tuning_of_the_same_model_on_the_same_rows(cell):
    assert cells.baseline(cell).is_baseline


def test_every_job_was_run_as_it_stands_there():
    ran = {name: one.digest for name, one in RESULTS.items()}
    assert ran == {cell.name: cell.digest for cell in CELLS}, "run `make scenarios ONLY=--missing`"


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_held_out_rows_are_answered_better_after_than_before_and_again_when_loaded_anew(name):
    assert RESULTS[name].is_better
    assert RESULTS[name].is_kept


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_a_job_took_less_than_three_minutes(name):
    assert RESULTS[name].train_seconds < MOST_SECONDS


def worth(scenario, figure):
    """Compare a figure of each run cell of a scenario with that of its baseline."""
    mine = [cell for cell in CELLS if cell.scenario == scenario and not cell.is_baseline and cell.name in RESULTS]
    return {cell.technique: (figure(RESULTS[cell.name]), figure(RESULTS[cells.baseline(cell).name])) for cell in mine}


def test_the_jobs_for_fewer_parameters_train_less_than_a_twentieth():
    found = worth("fewer-parameters", lambda one: one.trainable_parameters)
    assert found
    assert all(few < whole / 20 for few, whole in found.values()), found


def test_the_page_is_written_from_the_results():
    found = (cells.REPOSITORY / "docs" / "scenarios.md").read_text("utf-8")
    assert found == page.page(RESULTS), "write it by `python bench/scenarios --page-only`"
