import json

import pytest
from finetune_trainer.contract import ExitReport, Outcome, TrainerPhase, from_json, to_json
from finetune_trainer.reporting import report
from finetune_trainer.reporting.journal import Journal
from finetune_trainer.reporting.loss_plot import loss_plot
from finetune_trainer.reporting.model_card import Facts

REPORT = ExitReport(outcome=Outcome.SUCCEEDED, step=4, metrics_after={"loss": 1.0})
HISTORY = {
    "training": [{"step": step, "loss": 3.0 / step, "learningRate": 1e-3, "gradNorm": 1.0} for step in range(1, 101)],
    "measured": [{"step": 0, "loss": 3.0}, {"step": 50, "loss": 1.0}, {"step": 100, "loss": 0.5}],
    "checkpoints": [50, 100],
    "resumed": [50],
}


def test_it_holds_the_exit_report_the_run_and_what_is_too_long_for_a_pod(a_run):
    run = a_run()
    whole = json.loads(report.document(run, REPORT, {"history": HISTORY}))
    assert json.loads(to_json(REPORT)).items() <= whole.items()
    assert whole["run"] == json.loads(to_json(run))
    assert whole["history"] == HISTORY
    assert "python" in whole["versions"]


def test_rows_are_known_by_their_content(a_run, rows_file, tmp_path):
    file = rows_file({"text": "a"})
    run = a_run()
    found = report.source_digest(run)
    assert (found["name"], found["files"], found["bytes"]) == ("rows.jsonl", 1, file.stat().st_size)
    rows_file({"text": "b"})
    assert report.source_digest(run)["sha256"] != found["sha256"]
    folder = report.source_digest(a_run(dataset__path=str(tmp_path)))
    assert (folder["files"], len(folder["sha256"])) == (1, 64)


def test_the_journal_tells_how_long_each_phase_took(a_run):
    journal = Journal(a_run().job)
    journal.enter(TrainerPhase.TRAINING)
    journal.enter(TrainerPhase.EXPORTING)
    journal.add(more=[1])
    assert set(journal.details["phaseSeconds"]) == {"Starting", "Training"}
    assert journal.details["more"] == [1]


@pytest.mark.parametrize("history", [HISTORY, {name: [] for name in HISTORY}], ids=["of a run", "of nothing"])
def test_the_picture_is_a_png(history):
    assert loss_plot(history, "reviews").startswith(b"\x89PNG")


def test_a_page_and_a_picture_lie_beside_the_artifacts(a_run):
    run = a_run()
    journal = Journal(run.job)
    journal.note(metrics_after={"loss": 0.5}, outcome=Outcome.SUCCEEDED)
    journal.add(history=HISTORY)
    pages = report.pages(run, journal, Facts(model_class="BertForSequenceClassification"))
    assert set(pages) == {"README.md", "loss.png"}
    assert from_json(ExitReport, to_json(journal.report)).metrics_after == {"loss": 0.5}
