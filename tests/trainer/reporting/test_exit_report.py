from pathlib import Path

from finetune_trainer.contract import (
    TERMINATION_MESSAGE_LIMIT,
    Artifact,
    ExitReport,
    FailureReason,
    Outcome,
    from_json,
)
from finetune_trainer.reporting.exit_report import shrink, write

FAILED = ExitReport(outcome=Outcome.FAILED, reason=FailureReason.DATA_INVALID, message="row 7 is broken")


def test_it_lies_in_the_termination_message_and_beside_the_artifacts(tmp_path):
    folders = (tmp_path / "output", tmp_path / "copy")
    write(FAILED, termination_log=tmp_path / "log", folders=folders)
    for place in (tmp_path / "log", *(folder / "report.json" for folder in folders)):
        assert from_json(ExitReport, place.read_text()) == FAILED


def test_beside_the_artifacts_there_is_room_for_the_whole_document(tmp_path):
    write(FAILED, termination_log=tmp_path / "log", folders=[tmp_path], document="{}")
    assert (tmp_path / "report.json").read_text() == "{}"
    assert from_json(ExitReport, (tmp_path / "log").read_text()) == FAILED


def test_a_place_that_cannot_be_written_does_not_hide_the_other(tmp_path):
    (tmp_path / "file").touch()
    write(FAILED, termination_log=tmp_path / "log", folders=[tmp_path / "file" / "output"])
    assert from_json(ExitReport, (tmp_path / "log").read_text()) == FAILED
    write(FAILED, termination_log=Path("/proc/nowhere"), folders=[tmp_path / "output"])
    assert (tmp_path / "output" / "report.json").exists()


def test_a_long_message_is_cut_to_what_the_kubelet_keeps():
    text = shrink(ExitReport(outcome=Outcome.FAILED, message="ä\n" * 9000))
    assert len(text.encode()) <= TERMINATION_MESSAGE_LIMIT
    assert len(from_json(ExitReport, text).message) > 1000


def test_metrics_and_artifacts_give_way_after_the_message():
    many = {f"a metric with a long name {number}": 0.5 for number in range(200)}
    artifacts = tuple(Artifact(kind="adapter", path=f"p{n}", bytes=1, sha256="0" * 64) for n in range(60))
    report = ExitReport(outcome=Outcome.SUCCEEDED, metrics_before=many, metrics_after=many, artifacts=artifacts)
    text = shrink(report)
    assert len(text.encode()) <= TERMINATION_MESSAGE_LIMIT
    assert from_json(ExitReport, text).metrics_after
    assert from_json(ExitReport, text).artifacts


def test_a_report_that_fits_stays_whole():
    assert from_json(ExitReport, shrink(FAILED)) == FAILED
