"""Sentences of Django's user interface and their human translations, as rows for translation.

Not here: the package they come from (`packages.py`), the model that translates them (`tiny_t5.py`).
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import packages

LONGEST = 120
"""Characters of a sentence that a small model with short sequences can still translate."""


def write_french(target: Path) -> None:
    """Write one JSON object a line: `source` in English, `target` in French."""
    rows = [{"source": source, "target": translated} for source, translated in pairs("fr")]
    target.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} pairs")


def pairs(language: str) -> list[tuple[str, str]]:
    """Collect the sentences that have a translation, each once."""
    found = dict(pair for text in packages.catalogues(language) for pair in _entries(text))
    return [(source, target) for source, target in found.items() if _is_sentence(source) and _is_sentence(target)]


def _is_sentence(text: str) -> bool:
    return 0 < len(text.strip()) <= LONGEST and "\n" not in text


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Read gettext's format: blocks of keyword and quoted lines; plurals and unsure translations are left out."""
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line]
        if any(line.startswith("#,") and "fuzzy" in line for line in lines):
            continue
        values: dict[str, str] = {}
        keyword = ""
        for line in (line for line in lines if not line.startswith("#")):
            word, _space, quoted = line.partition(" ") if not line.startswith('"') else (keyword, "", line)
            keyword = word
            values[keyword] = values.get(keyword, "") + ast.literal_eval(quoted)
        if values.get("msgid") and values.get("msgstr"):
            yield values["msgid"], values["msgstr"]
