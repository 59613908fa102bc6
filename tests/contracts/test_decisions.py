"""Decisions are written down in one form."""

import pathlib
import re

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "docs/adr"
DECISIONS = sorted(FOLDER.glob("*.md"))
PARTS = ["Status", "User example", "Goals", "Non-goals", "Decision", "Risks", "Test plan", "Alternatives"]
WORDS = 700
"""About a page and a half."""

named = pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)


def test_decisions_are_numbered_without_a_gap():
    assert [path.name[:4] for path in DECISIONS] == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]
    assert DECISIONS


@named
def test_a_decision_has_every_part_in_order_and_none_is_empty(path):
    pieces = re.split(r"^\*\*([^*]+)\*\*: ?", path.read_text("utf-8"), flags=re.MULTILINE)
    assert pieces[1::2] == PARTS
    assert all(len(text.split()) >= 2 for text in pieces[2::2])


@named
def test_a_decision_is_short_and_titled_by_its_number(path):
    text = path.read_text("utf-8")
    assert text.startswith(f"# {path.name[:4]}: ")
    assert len(text.split()) <= WORDS
