"""What printing does where there is a terminal, and where there is none."""

import io
import os
import sys

import pytest
from finetune_operator.runtime.commands import paper
from rich.text import Text

WORDS = Text("fits " * 40, style="bold green")


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_what_no_terminal_shows_is_plain_and_of_a_fixed_width(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    paper.show(WORDS)
    lines = capsys.readouterr().out.splitlines()
    assert "\x1b" not in "".join(lines)
    assert [len(line) for line in lines] == [99, 99]


def test_a_terminal_gets_colours_and_its_own_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", Terminal())
    paper.show(WORDS)
    assert "\x1b[" in sys.stdout.getvalue()
    assert len(sys.stdout.getvalue().splitlines()) == 4


@pytest.mark.parametrize(("encoding", "want"), [("utf-8", paper.Letters()), ("ascii", paper.PLAIN)])
def test_signs_are_those_that_the_output_knows(monkeypatch, encoding, want):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert paper.letters() == want
    paper.write("█ fits\n")


def test_a_reader_who_leaves_early_is_no_error(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        paper.write("words\n")


def test_a_firm_column_is_never_wrapped():
    assert [column.no_wrap for column in paper.columns("left", "right").columns] == [True, False]
    assert not paper.columns("left", "right", firm=False).columns[0].no_wrap
