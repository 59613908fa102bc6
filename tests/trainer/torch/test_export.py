"""What is delivered, and how far it is from the model that was measured."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from finetune_trainer.contract import ExitCode, FailureReason

SHORT = {"rows": 40, "training__max_steps": 2, "evaluation__baseline": False, "checkpoints__every_steps": None}
ALL = ("adapter", "merged", "onnx")


def differences(report):
    return {artifact.kind: artifact.logit_difference for artifact in report.artifacts}


def output(run):
    return Path(run.output.directory)


def use_of(run, kind, tmp_path):
    """Run what the card says about an artifact, where it lies, with the model where it is."""
    code = (output(run) / "README.md").read_text(encoding="utf-8").split(f"`{kind}/`")[1].split("```")[1]
    code = code.removeprefix("python\n").replace(f'"{run.model.name}"', repr(run.model.path))
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, cwd=output(run), capture_output=True, text=True, check=True).stdout


def test_a_language_model_is_delivered_in_every_form_with_its_card(a_small_run, carry_out, tmp_path):
    run = a_small_run(task="chat", output__formats=ALL, output__copies=(str(tmp_path / "copy"),), **SHORT)
    code, report = carry_out(run)
    assert code == ExitCode.SUCCEEDED
    assert differences(report)["merged"] < 1e-4
    assert differences(report)["onnx"] < 1e-4
    whole = json.loads((output(run) / "report.json").read_text(encoding="utf-8"))
    assert whole["run"]["technique"]["method"] == "lora"
    assert [each["step"] for each in whole["history"]["training"]] == [1, 2]
    assert whole["onnxBuilderPeakMemoryBytes"] > 2**28
    for folder in (output(run), tmp_path / "copy"):
        assert sorted(each.name for each in folder.iterdir()) == sorted([*ALL, "README.md", "loss.png", "report.json"])
        for kind in ALL:
            assert {"README.md", "loss.png"} <= {each.name for each in (folder / kind).iterdir()}
    assert use_of(run, "onnx", tmp_path).startswith("Hello")


def test_merging_what_was_learnt_beside_four_bits_tells_by_how_much_it_moves(a_small_run, carry_out):
    run = a_small_run(task="chat", method="qlora", output__formats=("merged", "onnx"), **SHORT)
    code, report = carry_out(run)
    assert code == ExitCode.SUCCEEDED
    assert 0.05 < differences(report)["merged"] < 5
    assert f"moves logits by up to {differences(report)['merged']:.2g}" in report.message
    assert 0.05 < differences(report)["onnx"] < 2, "weights in 4 bits"


@pytest.mark.parametrize("task", ["text-classification", "question-answering", "translation"])
def test_a_model_with_another_head_runs_in_onnx(a_small_run, carry_out, tmp_path, task):
    run = a_small_run(task=task, output__formats=("onnx",), **SHORT)
    code, report = carry_out(run)
    assert code == ExitCode.SUCCEEDED
    assert differences(report)["onnx"] < 1e-4
    assert sorted(each.name for each in output(run).iterdir()) == ["README.md", "loss.png", "onnx", "report.json"]
    if task == "text-classification":
        assert "array(" in use_of(run, "onnx", tmp_path)


def test_onnx_that_answers_otherwise_fails_the_run_and_the_rest_is_delivered(a_small_run, carry_out, monkeypatch):
    from finetune_trainer.export import artifacts

    monkeypatch.setitem(artifacts.LARGEST_DIFFERENCE, "fp32", 0.0)
    run = a_small_run(output__formats=ALL, **SHORT)
    code, report = carry_out(run)
    assert (code, report.reason) == (ExitCode.INVALID_RUN, FailureReason.INVALID_RUN)
    assert "ONNX Runtime answers held-out rows otherwise than torch" in report.message
    assert "set merged" in report.message
    assert set(differences(report)) == {"adapter", "merged"}
    assert not (output(run) / "onnx").exists()


def test_a_builder_that_fails_is_told_by_its_own_words(a_small_run, carry_out, monkeypatch):
    from finetune_trainer.export import onnx_decoders

    monkeypatch.setattr(onnx_decoders, "BUILDER", "raise SystemExit('no such operator')")
    _code, report = carry_out(a_small_run(task="chat", method="full", output__formats=("onnx",), **SHORT))
    assert report.reason is FailureReason.TRAINER_ERROR
    assert report.message == "output.formats: onnx: the builder failed: no such operator"


def test_a_builder_that_is_killed_is_out_of_memory(a_small_run, carry_out, monkeypatch):
    from finetune_trainer.export import onnx_decoders

    monkeypatch.setattr(onnx_decoders, "BUILDER", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    run = a_small_run(task="chat", method="full", output__formats=("adapter", "onnx"), **SHORT)
    _code, report = carry_out(run)
    assert report.reason is FailureReason.HOST_OUT_OF_MEMORY
    assert [artifact.path for artifact in report.artifacts] == ["model"]


def test_history_is_sorted_thinned_and_without_what_is_no_number():
    from finetune_trainer.reporting.history import POINTS, history

    log = [{"step": step, "loss": 1.0, "learning_rate": 0.1} for step in range(1, 2 * POINTS + 2)]
    log += [
        {"step": 5, "eval_loss": 2.0, "eval_f1": 0.5, "eval_runtime": 1.0, "eval_rewards/margins": 1.0},
        {"step": 5, "checkpoint": 5},
        {"step": 5, "resumed": 5},
        {"step": 9, "loss": float("nan")},
        {"step": 9, "eval_loss": 1.5},
    ]
    found = history(log, {"loss": 3.0}, delivered=7)
    assert found["measured"] == [
        {"step": 0, "loss": 3.0},
        {"step": 5, "loss": 2.0, "f1": 0.5},
        {"step": 7, "loss": 1.5},
    ]
    assert (found["checkpoints"], found["resumed"]) == ([5], [5])
    assert len(found["training"]) <= POINTS + 1
    assert found["training"][-1] == {"step": 9, "loss": None}


def test_a_picture_of_a_resumed_run_knows_where_it_was_taken_up(a_small_run, carry_out):
    import shutil

    run = a_small_run(task="chat", rows=40, training__max_steps=4, evaluation__baseline=False)
    carry_out(run)
    shutil.rmtree(Path(run.checkpoints.directory) / "checkpoint-4")
    carry_out(replace(run, evaluation=replace(run.evaluation, metrics=("perplexity",))))
    history = json.loads((output(run) / "report.json").read_text(encoding="utf-8"))["history"]
    assert (history["checkpoints"], history["resumed"]) == ([2, 4], [2])
    assert [each["step"] for each in history["training"]] == [1, 2, 3, 4]
