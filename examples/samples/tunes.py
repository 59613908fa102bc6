"""Folk tunes in ABC notation, as text rows for music generation.

Bowing, fingering and other marks for a player are left out: what stays is rhythm, metre, key and notes.

Not here: the package they come from (`packages.py`).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import packages

KEPT_FIELDS = ("R", "M", "L", "K")
"""Rhythm, metre, unit of length, key; title, source and transcriber say nothing about the notes."""

FIELD = re.compile(r"([A-Za-z]): *(.*)")
ANNOTATION = re.compile(r'"[^"]*"|![^!]*!|%.*$')
ORNAMENTS = str.maketrans("", "", "uvTHMPS~.\\")
SHORTEST = 80
"""Characters of a tune that is one, and not the rest of another."""


def write(target: Path) -> None:
    """Write one JSON object a line: `text`."""
    rows = [{"text": tune} for tune in dict.fromkeys(map(_plain, packages.tunes())) if len(tune) >= SHORTEST]
    target.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} tunes")


def _plain(source: str) -> str:
    """Keep the fields that matter, in one order, and the notes of the first tune of a file."""
    fields: dict[str, str] = {}
    notes = []
    for line in source.splitlines():
        if found := FIELD.fullmatch(line.strip()):
            fields.setdefault(found[1], found[2].strip())
        elif "K" in fields and (written := " ".join(_notes(line))):
            notes.append(written)
    head = [
        f"{name}:{fields[name].lower() if name == 'R' else fields[name]}" for name in KEPT_FIELDS if fields.get(name)
    ]
    return "\n".join([*head, *notes])


def _notes(line: str) -> Iterator[str]:
    yield from ANNOTATION.sub("", line).translate(ORNAMENTS).split()
