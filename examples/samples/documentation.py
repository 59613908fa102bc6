"""Real English that every Python has: the docstrings of its standard library, as passages, text rows and chats.

The model folder and the data sets come from different modules, so that a job never trains on what the base has read.

Not here: the model that reads them (`tiny_phi3.py`).
"""

import importlib
import inspect
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).with_name("modules.txt").read_text(encoding="ascii").split()

MIN_PASSAGE, MAX_PASSAGE = 60, 1200
MAX_ANSWER = 300
BASE_SHARE = 70
"""Percent of the modules that the base model is pre-trained on; the data sets are made of the rest."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What a module says about one of its members."""

    module: str
    member: str
    text: str


def for_the_base() -> list[Passage]:
    """Collect the passages that the small model is pre-trained on."""
    return [passage for passage in _passages() if _is_base(passage.module)]


def for_datasets() -> list[Passage]:
    """Collect the passages that no base model has seen."""
    return [passage for passage in _passages() if not _is_base(passage.module)]


def for_all() -> list[Passage]:
    """Collect all passages, for models that have read none of them."""
    return list(_passages())


def write_text(target: Path) -> None:
    """Write one JSON object a line: `text`."""
    _write(target, [{"text": passage.text} for passage in for_datasets()])


def write_chat(target: Path) -> None:
    """Write one JSON object a line: `messages`, a question about a member and what its docstring answers."""
    _write(target, [{"messages": list(_chat(passage))} for passage in for_datasets()])


def _chat(passage: Passage) -> Iterator[dict[str, str]]:
    yield {"role": "user", "content": f"What does {passage.member} of {passage.module} do?"}
    yield {"role": "assistant", "content": passage.text.split("\n\n")[0][:MAX_ANSWER]}


def _write(target: Path, rows: list[dict[str, object]]) -> None:
    target.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} rows")


def _is_base(module: str) -> bool:
    return zlib.crc32(module.encode()) % 100 < BASE_SHARE


def _passages() -> Iterator[Passage]:
    seen: set[str] = set()
    for name in MODULES:
        for member, text in _docstrings(name):
            if len(text) >= MIN_PASSAGE and text not in seen:
                seen.add(text)
                yield Passage(name, member, text[:MAX_PASSAGE])


def _docstrings(name: str) -> Iterator[tuple[str, str]]:
    module = importlib.import_module(name)
    yield name, _doc(module)
    for member, value in sorted(vars(module).items()):
        if getattr(value, "__module__", None) != name or not (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        yield member, _doc(value)
        for attribute, inner in sorted(vars(value).items()) if inspect.isclass(value) else ():
            if inspect.isroutine(inner):
                yield f"{member}.{attribute}", _doc(inner)


def _doc(value: object) -> str:
    """Read a docstring; slots named `__doc__` make it something else than text now and then."""
    text = getattr(value, "__doc__", None)
    return inspect.cleandoc(text) if isinstance(text, str) else ""
