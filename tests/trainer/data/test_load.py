import subprocess
import sys
from pathlib import Path

import pytest
from finetune_trainer.data.load import load_data
from finetune_trainer.failures import TrainerFailure

TRAINER = Path(__file__).parents[3] / "trainer"


def rows(count, label=lambda number: f"label-{number % 2}", start=0):
    return [{"text": f"sentence {number}", "label": label(number)} for number in range(start, start + count)]


def test_labels_are_sorted_so_that_ids_do_not_depend_on_the_order_of_rows(a_run, rows_file):
    rows_file(*rows(20)[::-1])
    data = load_data(a_run())
    assert data.labels == ("label-0", "label-1")
    assert len(data.training) + len(data.validation) == 20


def test_a_file_of_its_own_is_held_out(a_run, rows_file, capsys):
    rows_file(*rows(20))
    own = rows_file(*rows(10, start=15), name="held-out.jsonl")
    data = load_data(a_run(dataset__validation_path=str(own)))
    assert (len(data.training), len(data.validation)) == (20, 10)
    assert "5 of 10 held-out rows are in the training data as well" in capsys.readouterr().out


def test_skipped_rows_are_told(a_run, rows_file, capsys):
    rows_file(*rows(20), "{")
    load_data(a_run(dataset__max_invalid_rows=1))
    assert "1 invalid rows skipped, the first: rows.jsonl row 21" in capsys.readouterr().out


def test_one_label_only_is_refused(a_run, rows_file):
    rows_file(*rows(20, label=lambda _: "same"))
    with pytest.raises(TrainerFailure, match="all rows have the label 'same'"):
        load_data(a_run())


def test_a_text_column_taken_for_the_label_is_refused(a_run, rows_file):
    rows_file(*rows(200, label=lambda number: f"free text {number}"))
    with pytest.raises(TrainerFailure, match="is 'label' the right column"):
        load_data(a_run())


def test_a_label_that_only_held_out_rows_have_is_refused(a_run, rows_file):
    rows_file(*rows(20))
    own = rows_file(*rows(10, label=lambda _: "new"), name="held-out.jsonl")
    with pytest.raises(TrainerFailure, match="labels that no training row has: new"):
        load_data(a_run(dataset__validation_path=str(own)))


def test_one_row_with_several_labels_makes_lists_of_all(a_run, rows_file):
    rows_file(*rows(20), {"text": "both", "label": ["label-0", "label-1"]}, {"text": "none", "label": []})
    data = load_data(a_run())
    assert data.labels == ("label-0", "label-1")
    assert {tuple(row["labels"]) for row in (*data.training, *data.validation)} == {
        ("label-0",),
        ("label-1",),
        ("label-0", "label-1"),
        (),
    }


def test_tags_are_labels(a_run, rows_file):
    rows_file(*({"tokens": [f"word{number}", "x"], "tags": ["B-LOC", "O"]} for number in range(20)))
    data = load_data(a_run(task="token-classification"))
    assert data.labels == ("B-LOC", "O")
    assert (len(data.training), len(data.validation)) == (16, 4)


def test_words_without_any_name_are_refused(a_run, rows_file):
    rows_file(*({"tokens": [f"word{number}"], "tags": ["O"]} for number in range(20)))
    with pytest.raises(TrainerFailure, match="all rows have the label 'O'"):
        load_data(a_run(task="token-classification"))


def test_checking_data_imports_nothing_heavy():
    code = "import sys, finetune_trainer.__main__, finetune_trainer.data.load; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(TRAINER)}, capture_output=True, text=True, check=True
    )
    assert not {"torch", "numpy", "transformers"} & set(done.stdout.split())
