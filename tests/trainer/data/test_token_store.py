import pytest

pytest.importorskip("pyarrow")

from finetune_trainer.data.token_store import TokenRows, TokenStore, batched

ROWS = [{"input_ids": list(range(number)), "labels": number, "offsets": [[0, number], None]} for number in range(1, 26)]


@pytest.fixture
def store(tmp_path):
    return TokenStore(tmp_path / "tokens")


def written(store, rows=ROWS, key="key"):
    return store.write(key, batched(rows, 10), {"rows": len(rows)})


def test_rows_come_back_as_they_were(store):
    rows = TokenRows(written(store))
    assert len(rows) == 25
    assert [rows[number] for number in range(25)] == ROWS == list(rows)
    assert (rows[-1], rows[9:11]) == (ROWS[-1], ROWS[9:11])
    with pytest.raises(IndexError):
        rows[25]


def test_a_column_can_be_left_out(store):
    rows = TokenRows(written(store)).without("offsets")
    assert rows[3] == {"input_ids": [0, 1, 2, 3], "labels": 4}
    assert rows.longest("input_ids") == 25


def test_what_is_there_is_found_with_its_facts(store):
    file = written(store)
    assert store.find("key") == (file, {"rows": 25})
    assert store.find("another") is None


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "unknown"])
def test_a_damaged_file_is_not_taken(store, damage, capsys):
    file = written(store)
    content = file.read_bytes()
    changes = {
        "cut": content[:-9],
        "changed": content[:600] + b"\1\2\3\4" + content[604:],
        "gone": None,
        "unknown": content,
    }
    if changes[damage] is None:
        file.unlink()
    else:
        file.write_bytes(changes[damage])
    if damage == "unknown":
        file.with_suffix(".json").write_text("{")
    assert store.find("key") is None
    assert ("is damaged, so the rows are tokenized again" in capsys.readouterr().out) is (damage in {"cut", "changed"})


def test_rows_that_fail_midway_leave_nothing_behind(store, tmp_path):
    def rows():
        yield ROWS[:10]
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        store.write("key", rows(), {})
    assert store.find("key") is None
    assert list((tmp_path / "tokens").iterdir()) == []
