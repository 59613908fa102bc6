# ruff: noqa: INP001
"""The results of cells, as a JSON file that runs add to and the page is written from.

Not here: the page (`page.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from running import Figures, as_json

FILE = Path(__file__).with_name("results.json")


def read(file: Path = FILE) -> dict[str, Figures]:
    """Read the figures of each cell that was run, by its name."""
    if not file.is_file():
        return {}
    return {name: Figures(**values) for name, values in json.loads(file.read_text(encoding="utf-8")).items()}


def write(results: Mapping[str, Figures], file: Path = FILE) -> None:
    """Write the figures, by name."""
    text = json.dumps({name: as_json(results[name]) for name in sorted(results)}, indent=2)
    file.write_text(f"{text}\n", encoding="utf-8")
