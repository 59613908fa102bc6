import gzip
import json

import pytest
from finetune_trainer.contract import FailureReason
from finetune_trainer.data import reading
from finetune_trainer.data.reading import BadRow, Row, find_files, read_rows
from finetune_trainer.process.failures import TrainerFailure


def test_a_broken_row_is_told_with_file_row_and_column(rows_file):
    file = rows_file({"text": "a"}, '{"text": "b" "label": "c"}', {"text": "d"}, name="reviews.jsonl")
    first, second, third = read_rows(file)
    assert first == Row("reviews.jsonl", 1, {"text": "a"})
    assert str(second) == "reviews.jsonl row 2: not valid JSON: Expecting ',' delimiter at column 14"
    assert third.number == 3


def test_an_empty_line_is_no_row_but_keeps_its_number(rows_file):
    assert [row.number for row in read_rows(rows_file({"a": 1}, "", {"a": 2}))] == [1, 3]


NOT_OBJECTS = {"[1]": "an array", '"text"': "a string", "3": "a number", "true": "a boolean", "null": "null"}


@pytest.mark.parametrize(("line", "want_type"), NOT_OBJECTS.items())
def test_a_row_that_is_no_object_is_bad(rows_file, line, want_type):
    (row,) = read_rows(rows_file(line))
    assert row.problem == f"a row must be a JSON object, this is {want_type}"


def test_a_row_that_is_not_utf8_is_told_with_its_number_and_byte(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"text": "a"}\n{"text": "caf\xe9"}\n')
    _good, bad = read_rows(file)
    assert str(bad) == "rows.jsonl row 2: not UTF-8: byte 0xe9 at column 14; save the file as UTF-8"


def test_a_table_row_that_is_not_utf8_does_not_hide_those_after_it(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_bytes(b"text,label\ngood,1\ncaf\xe9,0\nfine,1\n")
    good, bad, after = read_rows(file)
    assert good.fields == {"text": "good", "label": "1"}
    assert str(bad) == "rows.csv row 3: not UTF-8: byte 0xe9 in column 'text'; save the file as UTF-8"
    assert after.number == 4


def test_utf16_is_named(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "a"}\n', encoding="utf-16")
    with pytest.raises(TrainerFailure, match="UTF-16; save the file as UTF-8"):
        list(read_rows(file))


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "a"}\n', encoding="utf-8-sig")
    assert [row.fields for row in read_rows(file)] == [{"text": "a"}]


def test_a_quoted_field_over_two_lines_counts_both_lines(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text('text,label\n"two\nlines",1\nshort\n')
    first, second = read_rows(file)
    assert (first.number, first.fields["text"]) == (2, "two\nlines")
    assert str(second) == "rows.csv row 4: 1 fields, the header names 2"


def test_a_header_that_names_a_column_twice_is_refused(tmp_path):
    (tmp_path / "rows.csv").write_text("text,text\na,b\n")
    with pytest.raises(TrainerFailure, match="names a column twice"):
        list(read_rows(tmp_path / "rows.csv"))


def test_an_unclosed_quote_is_a_bad_row(tmp_path):
    (tmp_path / "rows.csv").write_text('text,label\n"open,1\n')
    (row,) = read_rows(tmp_path / "rows.csv")
    assert isinstance(row, BadRow)
    assert row.problem.startswith("not valid CSV")


def test_tabs_separate_a_tsv(tmp_path):
    (tmp_path / "rows.tsv").write_text("text\tlabel\na\tb\n")
    assert [row.fields for row in read_rows(tmp_path / "rows.tsv")] == [{"text": "a", "label": "b"}]


def test_a_json_file_may_be_an_array_or_lines(tmp_path):
    (tmp_path / "array.json").write_text(json.dumps([{"text": "a"}, 7]))
    (tmp_path / "lines.json").write_text('{"text": "a"}\n{"text": "b"}\n')
    first, second = read_rows(tmp_path / "array.json")
    assert first.fields == {"text": "a"}
    assert str(second) == "array.json row 2: a row must be a JSON object, this is a number"
    assert len(list(read_rows(tmp_path / "lines.json"))) == 2


BROKEN_ARRAYS = {
    b'[{"a": 1},]': "row 2: not valid JSON: Expecting value",
    b'[{"a": 1} {"a": 2}]': "row 2: not valid JSON: Expecting ',' or '\\]'",
    b'[{"a": 1}': "row 1: not valid JSON: Expecting ',' or '\\]'",
    b'[{"a": "\xe9"}]': "not UTF-8: byte 0xe9",
}


@pytest.mark.parametrize(("content", "want"), BROKEN_ARRAYS.items())
def test_a_broken_array_cannot_be_read_at_all(tmp_path, content, want):
    (tmp_path / "rows.json").write_bytes(content)
    with pytest.raises(TrainerFailure, match=want):
        list(read_rows(tmp_path / "rows.json"))


def test_an_array_is_read_value_by_value(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "ARRAY_BLOCK", 7)
    values = [{"text": "x" * size, "nested": [size, {"a": [1.5, None]}]} for size in range(40)]
    (tmp_path / "rows.json").write_text(json.dumps([*values, 1234567, "end"], indent=1) + "\n")
    *rows, number, text = read_rows(tmp_path / "rows.json")
    assert [row.fields for row in rows] == values
    assert number.problem.endswith("this is a number")
    assert text.problem.endswith("this is a string")


def test_an_empty_array_has_no_rows(tmp_path):
    (tmp_path / "rows.json").write_text(" [ ]\n")
    assert list(read_rows(tmp_path / "rows.json")) == []


def test_a_file_without_line_breaks_is_refused_before_it_fills_memory(rows_file, monkeypatch):
    monkeypatch.setattr(reading, "MAX_ROW_BYTES", 100)
    with pytest.raises(TrainerFailure, match=r"rows.jsonl row 2 is longer than 100 bytes; put each row on a line"):
        list(read_rows(rows_file({"text": "a"}, {"text": "a" * 100})))


def test_gzip_is_opened(tmp_path):
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt") as stream:
        stream.write('{"text": "a"}\n')
    assert [row.number for row in read_rows(tmp_path / "rows.jsonl.gz")] == [1]


def test_a_cut_off_gzip_file_is_data_invalid(tmp_path):
    whole = gzip.compress(b'{"text": "a"}\n' * 1000)
    (tmp_path / "rows.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainerFailure, match="damaged gzip file"):
        list(read_rows(tmp_path / "rows.jsonl.gz"))


def test_a_folder_gives_its_readable_files_in_order(tmp_path):
    for name in ("b.jsonl", "a.csv", "notes.md", ".hidden.jsonl"):
        (tmp_path / name).touch()
    assert [file.name for file in find_files(tmp_path)] == ["a.csv", "b.jsonl"]


def test_a_missing_path_names_what_lies_there_instead(tmp_path):
    (tmp_path / "review.jsonl").touch()
    with pytest.raises(TrainerFailure, match=r"no data set at .*reviews.jsonl: .* holds review.jsonl") as caught:
        find_files(tmp_path / "reviews.jsonl")
    assert caught.value.reason is FailureReason.DATA_INVALID


def test_an_unknown_kind_of_file_names_the_known_ones(tmp_path):
    (tmp_path / "rows.xlsx").touch()
    with pytest.raises(TrainerFailure, match=r"rows.xlsx is not one of .jsonl"):
        find_files(tmp_path / "rows.xlsx")
    with pytest.raises(TrainerFailure, match=r"it holds rows.xlsx"):
        find_files(tmp_path)


def test_parquet_rows_are_numbered_and_keep_their_lists(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"tokens": [["a", "b"], ["c"]], "label": ["x", None]}), file)
    assert list(read_rows(file)) == [
        Row("rows.parquet", 1, {"tokens": ["a", "b"], "label": "x"}),
        Row("rows.parquet", 2, {"tokens": ["c"], "label": None}),
    ]


def test_a_damaged_parquet_file_is_named(tmp_path):
    pytest.importorskip("pyarrow")
    file = tmp_path / "rows.parquet"
    file.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(TrainerFailure, match=r"rows\.parquet: damaged Parquet file"):
        list(read_rows(file))
