import re
import subprocess
import sys
from pathlib import Path

import pytest
from finetune_trainer.contract import to_json
from finetune_trainer.data.load import load_data
from finetune_trainer.process.failures import TrainerFailure

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
    own = rows_file(*rows(10, start=20), name="held-out.jsonl")
    data = load_data(a_run(dataset__validation_path=str(own)))
    assert (len(data.training), len(data.validation)) == (20, 10)
    assert "warning" not in capsys.readouterr().out


def test_training_rows_that_are_held_out_as_well_are_left_out(a_run, rows_file, capsys):
    rows_file(*rows(20))
    own = rows_file(*rows(10, start=15), name="held-out.jsonl")
    data = load_data(a_run(dataset__validation_path=str(own)))
    assert (len(data.training), len(data.validation), data.facts.leaked_rows) == (15, 10, 5)
    assert "warning: 5 training rows are left out, since the held-out data asks the same" in capsys.readouterr().out


def test_copies_and_contradictions_are_told(a_run, rows_file, capsys):
    rows_file(*rows(20), *rows(20), {"text": "sentence 3", "label": "label-0"})
    facts = load_data(a_run()).facts
    said = capsys.readouterr().out
    assert facts.duplicate_rows == facts.training_rows - 16 - 1
    assert f"{facts.duplicate_rows} of {facts.training_rows} training rows are copies of others" in said
    assert "warning: 1 texts stand in the training rows with different labels" in said


def test_a_label_that_almost_all_rows_have_is_told_with_its_count(a_run, rows_file, capsys):
    rows_file(*rows(100, label=lambda number: "good" if number % 25 else "bad"))
    load_data(a_run())
    assert re.search(r"warning: 7\d of 80 training rows \(9\d%\) have the label 'good'", capsys.readouterr().out)


def test_words_without_a_name_may_be_most(a_run, rows_file, capsys):
    rows_file(*({"tokens": [f"word{n}", "x"], "tags": ["O", "O" if n % 20 else "B-LOC"]} for n in range(100)))
    load_data(a_run(task="token-classification"))
    assert "warning" not in capsys.readouterr().out


def test_a_file_that_changes_while_it_is_read_is_told(a_run, rows_file):
    data = load_data(a_run()) if rows_file(*rows(20)) else None
    rows_file(*rows(19))
    with pytest.raises(TrainerFailure, match=r"rows\.jsonl: the file changed while it was read"):
        list(data.training)


def test_only_the_same_rows_have_the_same_digest(a_run, rows_file):
    rows_file(*rows(20))
    first, again, other = load_data(a_run()), load_data(a_run()), load_data(a_run(training__seed=1))
    assert first.training.digest == again.training.digest
    assert len({first.training.digest, first.validation.digest, other.training.digest}) == 3
    rows_file(*rows(20, label=lambda number: f"label-{number % 3}"))
    assert load_data(a_run()).training.digest != first.training.digest


def test_skipped_rows_are_told(a_run, rows_file, capsys):
    rows_file(*rows(20), "{")
    load_data(a_run(dataset__max_invalid_rows=1))
    assert "1 invalid rows skipped (1 not readable), the first: rows.jsonl row 21" in capsys.readouterr().out


def test_one_label_only_is_refused(a_run, rows_file):
    rows_file(*rows(20, label=lambda _: "same"))
    with pytest.raises(TrainerFailure, match="all rows have the label 'same'"):
        load_data(a_run())


def test_a_text_column_taken_for_the_label_is_refused(a_run, rows_file):
    rows_file(*rows(200, label=lambda number: f"free text {number}"))
    with pytest.raises(TrainerFailure, match="is 'label' the right column"):
        load_data(a_run())


def test_a_label_that_only_held_out_rows_have_is_told(a_run, rows_file, capsys):
    rows_file(*rows(20))
    own = rows_file(*rows(10, label=lambda _: "new", start=20), name="held-out.jsonl")
    assert load_data(a_run(dataset__validation_path=str(own))).labels == ("label-0", "label-1", "new")
    assert "warning: 10 held-out rows have labels that no training row has (new 10)" in capsys.readouterr().out


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
    assert not {"torch", "transformers", "datasets", "pyarrow"} & set(done.stdout.split())


PEAK = """
import resource, sys
from pathlib import Path
from finetune_trainer.contract import TrainerRun, from_json
from finetune_trainer.data.load import load_data

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

run = from_json(TrainerRun, Path(sys.argv[1]).read_text())
before = peak()
data = load_data(run)
assert sum(1 for _ in data.training) == len(data.training)
print(peak() - before)
"""
FILE_BYTES = 20_000_000


def test_memory_does_not_grow_with_the_file(a_run, rows_file, tmp_path):
    text = "What the module does and how it is used. " * 25
    count = FILE_BYTES // (2 * len(text))
    file = rows_file(
        *(
            {"messages": [{"role": "user", "content": f"{n} {text}"}, {"role": "assistant", "content": text}]}
            for n in range(count)
        )
    )
    (tmp_path / "run.json").write_text(to_json(a_run(task="chat")))
    assert file.stat().st_size > FILE_BYTES
    command = [sys.executable, "-c", PEAK, str(tmp_path / "run.json")]
    done = subprocess.run(command, env={"PYTHONPATH": str(TRAINER)}, capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) < FILE_BYTES / 2
