"""Questions about the standard library that its docstrings answer, and pairs of a better and a worse answer.

A question asks what a function returns; the answer is the very words of its docstring. A preference is for the first
paragraph of a docstring, which sums it up, over a later one, which tells a detail.

Not here: the docstrings (`documentation.py`).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import documentation
from documentation import Passage

ANSWER = re.compile(r"\b[Rr]eturns? ([^.:;()]{8,120})[.:;(]")
MAX_CONTEXT = 400
MIN_PARAGRAPH, MAX_PARAGRAPH = 40, 160


def write_questions(target: Path) -> None:
    """Write one JSON object a line: `question`, `context`, and the `answer` that stands in it."""
    _write(target, (row for passage in documentation.for_all() for row in _questions(passage)))


def write_preferences(target: Path) -> None:
    """Write one JSON object a line: `prompt`, `chosen`, `rejected`."""
    _write(target, (row for passage in documentation.for_datasets() for row in _preferences(passage)))


def _questions(passage: Passage) -> Iterator[dict[str, str]]:
    context = " ".join(passage.text.split())[:MAX_CONTEXT]
    if found := ANSWER.search(context):
        question = f"What does {passage.member} of {passage.module} return?"
        yield {"question": question, "context": context, "answer": found.group(1).strip()}


def _preferences(passage: Passage) -> Iterator[dict[str, str]]:
    paragraphs = [" ".join(each.split())[:MAX_PARAGRAPH] for each in passage.text.split("\n\n")]
    first, later = paragraphs[0], [each for each in paragraphs[1:] if len(each) >= MIN_PARAGRAPH]
    if len(first) >= MIN_PARAGRAPH and later:
        prompt = f"What does {passage.member} of {passage.module} do?"
        yield {"prompt": prompt, "chosen": first, "rejected": later[0]}


def _write(target: Path, rows: Iterator[dict[str, str]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    target.write_text("".join(lines), encoding="utf-8")
    print(f"{len(lines)} rows")
