"""Movie-review sentences with the sentiment that people gave them, as rows for text classification.

Not here: the package they come from (`packages.py`).
"""

import hashlib
import json
from pathlib import Path

import packages

UNDECIDED = 0.5
"""Sentences whose mean score (from -4 to 4) is nearer to zero than this belong to neither class."""

BROKEN_ROW = 7
BROKEN_ROWS_KEPT = 200


def write(target: Path) -> None:
    """Write one JSON object a line: `text`, `label` (positive or negative)."""
    rows = []
    for line in packages.movie_reviews().splitlines():
        _number, score, text = line.split("\t", 2)
        if abs(float(score)) > UNDECIDED:
            rows.append({"text": text.strip(), "label": "positive" if float(score) > 0 else "negative"})
    target.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} reviews")


def write_train(target: Path) -> None:
    """Write the reviews to learn from."""
    _write_part(target, held_out=False)


def write_held_out(target: Path) -> None:
    """Write the reviews to measure on: about a tenth, chosen by their text, so that equal texts stay together."""
    _write_part(target, held_out=True)


def _write_part(target: Path, *, held_out: bool) -> None:
    lines = target.with_name("reviews.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    digests = (hashlib.sha256(json.loads(line)["text"].encode()).digest() for line in lines)
    part = [line for line, digest in zip(lines, digests, strict=True) if (digest[0] % 10 == 0) is held_out]
    target.write_text("".join(part), encoding="utf-8")
    print(f"{len(part)} reviews")


def write_broken(target: Path) -> None:
    """Write reviews again with a comma lost in row 7, the way a hand edit loses one."""
    lines = target.with_name("reviews.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:BROKEN_ROWS_KEPT]
    lines[BROKEN_ROW - 1] = lines[BROKEN_ROW - 1].replace(', "label"', ' "label"')
    target.write_text("".join(lines), encoding="utf-8")
