"""Reading the numbers of a model, as the operator asks for it before it plans."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from finetune_trainer import __main__ as entrypoint
from finetune_trainer import contract, inspection
from finetune_trainer.contract import SCHEMA_VERSION, TERMINATION_MESSAGE_LIMIT, InspectionReport, InspectionRun

LLAMA = {"model_type": "llama", "hidden_size": 64, "rope_scaling": {"factor": 2}, "sliding_window": None}


@pytest.fixture
def model(tmp_path):
    """Give a maker of model folders with a config.json of this text or these values."""

    def make(config=None):
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        if config is not None:
            text = config if isinstance(config, str) else json.dumps(config)
            (folder / "config.json").write_text(text, "utf-8")
        return folder

    return make


def asked(folder, tmp_path):
    """Write what the operator asks; return that file and the one of the answer."""
    run, log = tmp_path / "run.json", tmp_path / "log"
    order = InspectionRun(schema_version=SCHEMA_VERSION, folder=str(folder), termination_log=str(log))
    run.write_text(contract.to_json(order))
    return run, log


def test_it_tells_the_numbers_that_are_set_and_no_others(model):
    assert inspection.inspect(model(LLAMA)) == InspectionReport(config={"model_type": "llama", "hidden_size": 64})


def test_the_numbers_of_the_language_model_come_before_those_around_it(model):
    both = {"model_type": "gemma3", "vocab_size": 5, "text_config": {"model_type": "gemma3_text", "hidden_size": 8}}
    found = inspection.inspect(model(both)).config
    assert found == {"model_type": "gemma3_text", "vocab_size": 5, "hidden_size": 8}


def test_a_null_of_the_language_model_hides_the_number_around_it(model):
    assert inspection.inspect(model({"head_dim": 8, "text_config": {"head_dim": None}})).config == {}


ODD = {
    "a list": ([64] * 100, json.dumps([64] * 100)[:100]),
    "no finite number": (float("nan"), "NaN"),
    "half a character": ("\ud800", "?"),
    "a long text": ("x" * 5000, "x" * 100),
    "a fraction": (0.5, 0.5),
    "a switch": (True, True),
}


@pytest.mark.parametrize(("value", "want"), ODD.values(), ids=ODD)
def test_a_value_that_is_no_number_is_told_in_short(model, value, want):
    report = inspection.inspect(model({"hidden_size": value}))
    assert report.config == {"hidden_size": want}
    assert contract.from_json(InspectionReport, contract.to_json(report)) == report


def test_the_answer_fits_into_a_termination_message_whatever_the_file_holds(model):
    report = inspection.inspect(model(dict.fromkeys(contract.MODEL_CONFIG_KEYS, "\u20ac" * 200)))
    assert report.problem.startswith("has numbers of ")
    assert len(contract.to_json(report).encode()) <= TERMINATION_MESSAGE_LIMIT


BROKEN = {
    "of another kind": ('["a"]', "is not a JSON object"),
    "cut off": ('{"a": ', "is not JSON (Expecting value: line 1 column 7 (char 6))"),
    "a pointer of git": ("version https://git-lfs.github.com/spec/v1", "is not JSON (Expecting value"),
    "nested without end": ("[" * 100_000, "is not JSON (maximum recursion depth exceeded"),
    "too large": (" " * (inspection.LARGEST + 1), "is larger than 1048576 bytes"),
}


@pytest.mark.parametrize(("text", "want"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_with_a_file_is_said(model, text, want):
    report = inspection.inspect(model(text))
    assert report.config == {}
    assert report.problem.startswith(want)


def test_bytes_that_are_no_text_are_no_json(model):
    folder = model()
    (folder / "config.json").write_bytes(b"\xff\xfe\x00{")
    assert inspection.inspect(folder).problem.startswith("is not JSON")


def test_a_missing_file_is_told_with_what_lies_there(model):
    folder = model()
    assert inspection.inspect(folder).problem == "does not exist: its folder is empty"
    for name in "gfedcba":
        (folder / name).touch()
    assert inspection.inspect(folder).problem == "does not exist: its folder has a, b, c, d, e, ..."


def test_a_missing_folder_is_told_apart(model):
    folder = model({})
    wanted = "does not exist: there is no such folder"
    assert inspection.inspect(folder / "deeper").problem == wanted
    assert inspection.inspect(folder / "config.json").problem == wanted


def test_a_folder_in_place_of_the_file_is_told(model):
    (model() / "config.json").mkdir()
    assert inspection.inspect(model()).problem == "is a folder"


def test_permissions_are_told_of_the_file_and_of_the_folder(model, monkeypatch):
    def refuse(*_):
        raise PermissionError

    folder = model()
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert inspection.inspect(folder).problem == "does not exist: its folder may not be listed"
    monkeypatch.setattr(Path, "open", refuse)
    assert inspection.inspect(folder).problem.startswith("may not be read by the trainer's user")


def test_a_volume_that_does_not_answer_is_a_failure_to_be_tried_again(model, monkeypatch):
    def hang(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", hang)
    with pytest.raises(OSError, match="Input/output error"):
        inspection.inspect(model())


def test_the_answer_is_the_termination_message(model, tmp_path, capsys):
    run, log = asked(model(LLAMA), tmp_path)
    inspection.main([str(run)])
    assert contract.from_json(InspectionReport, log.read_text()).config["hidden_size"] == 64
    assert '"hidden_size": 64' in capsys.readouterr().out


def test_what_is_wrong_is_an_answer_as_well_and_no_failure(model, tmp_path, monkeypatch, capsys):
    run, log = asked(model(), tmp_path)
    monkeypatch.setattr(sys, "argv", ["finetune_trainer", "inspect", str(run)])
    with pytest.raises(SystemExit) as left:
        entrypoint.main()
    assert left.value.code is None
    assert contract.from_json(InspectionReport, log.read_text()).problem == "does not exist: its folder is empty"
    assert capsys.readouterr().out == "config.json does not exist: its folder is empty\n"


def test_an_order_that_is_none_is_a_failure(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(contract.ContractError):
        inspection.main([str(tmp_path / "run.json")])


@pytest.mark.parametrize("words", [["finetune_trainer.inspection"], ["finetune_trainer", "inspect"]])
def test_it_is_over_at_once_and_imports_nothing_heavy(model, tmp_path, words):
    run, log = asked(model(LLAMA), tmp_path)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *words, str(run)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(Path(inspection.__file__).parents[1])},
    )
    assert time.monotonic() - began < 10
    assert log.exists()
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert imported.isdisjoint({"torch", "transformers", "numpy", "datasets", "peft"})
