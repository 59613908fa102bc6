from dataclasses import replace

import pytest
from finetune_trainer.data.checks import PROBLEMS_BYTES, Wanted, check
from finetune_trainer.process.failures import TrainerFailure

GOOD = {"text": "a good row"}


def wanted(max_invalid_rows=0):
    return Wanted(task="causal-lm", format="auto", columns={}, max_invalid_rows=max_invalid_rows)


def test_good_rows_become_examples(rows_file):
    rows = check(rows_file(GOOD, GOOD), wanted())
    assert (list(rows), rows.problems.count, rows.format.name) == ([GOOD, GOOD], 0, "text")


def test_one_bad_row_too_many_names_it(rows_file):
    with pytest.raises(TrainerFailure, match=r"1 of 2 rows are invalid .* allows 0.*: rows.jsonl row 2: text is empty"):
        check(rows_file(GOOD, {"text": ""}), wanted())


def test_tolerated_rows_are_skipped_and_counted(rows_file):
    rows = check(rows_file({"text": ""}, GOOD, "{"), wanted(max_invalid_rows=2))
    assert list(rows) == [GOOD]
    assert [row.number for row in rows.problems.first] == [1, 3]
    assert rows.problems.summary == "1 empty, 1 not readable"


def test_all_problems_are_counted_and_the_message_stays_short(rows_file, capsys):
    with pytest.raises(TrainerFailure, match="500 of 501 rows are invalid") as caught:
        check(rows_file(GOOD, *[{"text": ""}] * 500), wanted())
    assert len(caught.value.message.encode()) < PROBLEMS_BYTES + 150
    assert "row 2: text is empty" in caught.value.message
    assert capsys.readouterr().out.count("text is empty") == 20


def test_problems_are_counted_by_kind(rows_file):
    bad = [{"text": ""}] * 3 + [{"text": None}, {"text": 7}, {"body": "a"}, "[]", "{"]
    with pytest.raises(TrainerFailure, match=r"3 empty, 2 wrong type, 1 null, 1 column missing, 1 not readable\. rows"):
        check(rows_file(GOOD, *bad), wanted())


def test_rows_are_read_again_from_their_files(tmp_path, rows_file):
    first = rows_file(GOOD, name="data/a/rows.jsonl")
    rows_file({"text": "second"}, name="data/rows.jsonl")
    rows = check(first.parent.parent, wanted())
    assert list(rows) == list(rows) == [GOOD, {"text": "second"}]


def test_an_empty_file_is_named(rows_file):
    with pytest.raises(TrainerFailure, match=r"rows.jsonl: no rows; the file is empty"):
        check(rows_file(), wanted())


def test_a_wrong_column_is_told_once_with_its_row(rows_file):
    with pytest.raises(TrainerFailure, match=r"rows.jsonl row 1: needs the column\(s\) 'text'; the columns are 'body'"):
        check(rows_file({"body": "a"}, {"body": "b"}), wanted())


POINTED = {"question": "Where?", "context": "In Paris.", "answer": "Paris"}
WRITTEN_ONLY = {
    "no context": ({"question": "Where?", "answer": "Paris"}, "row 2: context is missing"),
    "another answer": (POINTED | {"answer": "Rome"}, "row 2: the answer does not stand in the context"),
}


@pytest.mark.parametrize(("row", "want_problem"), WRITTEN_ONLY.values(), ids=WRITTEN_ONLY)
def test_a_model_that_points_needs_the_answer_in_the_context(rows_file, row, want_problem):
    file = rows_file(POINTED, row)
    asked = Wanted(task="question-answering", format="auto", columns={}, max_invalid_rows=0)
    assert len(check(file, asked)) == 2
    with pytest.raises(TrainerFailure, match=want_problem):
        check(file, replace(asked, extractive=True))
