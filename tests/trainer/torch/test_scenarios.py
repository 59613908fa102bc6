"""A job of each scenario and of each technique, on fewer rows and for fewer steps than `make scenarios` takes."""

from dataclasses import dataclass, replace
from pathlib import Path

import cells
import pytest
import running
from cells import Cell
from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import Technique
from finetune_operator.planning.plan import Plan
from finetune_trainer.contract import ExitCode, ExitReport

STEPS = {
    "adapt-to-domain/lora": 20,
    "question-answering/peft": 20,
    "chatbot/zero": 20,
    "creative-generation/full": 10,
    "creative-generation/dora": 20,
    "reduce-memory/qlora": 30,
    "aggregate-gpu-memory/deepspeed": 15,
}
"""How long each is trained."""

ROWS, HELD_OUT = 1000, 250
"""Rows that are taken from each file, from all over it since some are sorted."""


@dataclass(frozen=True)
class Trained:
    """A cell that was carried out."""

    cell: Cell
    plan: Plan
    run_file: Path
    report: ExitReport


@pytest.fixture(scope="module")
def few_rows(samples, tmp_path_factory):
    """Give the samples with fewer rows."""
    folder = tmp_path_factory.mktemp("samples")
    (folder / "models").symlink_to(samples / "models")
    (folder / "datasets").mkdir()
    for file in (samples / "datasets").glob("*.jsonl"):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        wanted = HELD_OUT if "held-out" in file.name else ROWS
        cut = lines[:: max(1, len(lines) // wanted)][:wanted]
        (folder / "datasets" / file.name).write_text("".join(cut), encoding="utf-8")
    return folder


@pytest.fixture
def trained(few_rows, carry_out, tmp_path_factory):
    """Give a cell trained: in this process, unless it takes several."""

    def train(name):
        (cell,) = [one for one in cells.cells() if one.name == name]
        folder, plan = tmp_path_factory.mktemp("cell"), running.planned(cell)
        run = running.local_run(cell, plan, few_rows, folder)
        run = replace(run, training=replace(run.training, max_steps=STEPS[name]))
        files = running.run_files(run, folder, plan.devices)
        if plan.devices == 1:
            assert carry_out(run)[0] == ExitCode.SUCCEEDED
        else:
            running.carry_out(cell, files)
        return Trained(cell, plan, files[0], running.report_of(folder))

    return train


def test_every_scenario_and_every_technique_is_among_them():
    """Several cells are the same job, which then stands for each of them."""
    everything = {cell.name: cell for cell in cells.cells()}
    jobs = {everything[name].digest for name in STEPS}
    stood_for = [cell for cell in everything.values() if cell.digest in jobs]
    assert {cell.scenario for cell in stood_for if not cell.is_baseline} == {row.id for row in catalog.scenarios()}
    assert {cell.technique for cell in stood_for} >= {*Technique, cells.BASELINE}


@pytest.mark.parametrize("name", STEPS)
def test_held_out_rows_are_answered_better_after_than_before_and_as_well_in_a_fresh_process(trained, name):
    one = trained(name)
    metric = running.judged_by(one.cell, one.report)
    before, after = one.report.metrics_before[metric], one.report.metrics_after[metric]
    assert running.is_better(metric, before, after), (metric, before, after)
    again = running.load_again(one.run_file)
    found = running.figures(one.cell, one.plan, one.report, reloaded=again, cpu_seconds=0.0)
    assert found.is_kept, found
