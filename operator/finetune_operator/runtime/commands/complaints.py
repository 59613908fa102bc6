"""How bad input is put into words: the path of the field, what is wrong with it, the way out.

Not here: finding out (pydantic, `runtime.commands.admission`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

SHORT = 60
"""Longest value that is repeated in a message."""


OF_THE_KEY = "[key]"
"""What pydantic puts behind the name of a key that is wrong itself."""

ANY: dict[str, Any] = {}
ANY["additionalProperties"] = ANY
"""The schema that knows every place, and nothing of any."""


class BadInput(Exception):
    """A file or an option cannot be used; the message has a line for each thing that is wrong with it."""


def lines(error: ValidationError, schema: Mapping[str, Any], root: str) -> list[str]:
    """Return a line for each place where pydantic found an error: of several kinds that a value might be, the first."""
    found = {path_of(one["loc"], schema, root)[0]: one for one in reversed(error.errors())}
    return [_line(one, schema, root) for one in reversed(found.values())]


def like(word: str, known: Iterable[str]) -> str:
    """Return a hint at the word that was meant, or at all there are."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(words)}"


def _line(found: ErrorDetails, schema: Mapping[str, Any], root: str) -> str:
    path, node = path_of(found["loc"], schema, root)
    said = node.get("description")
    if found["type"] == "missing":
        return f"{path}: is missing; it is required" + (f" ({said})" if said else "")
    told = found["msg"].removeprefix("Value error, ").removeprefix("Input ")
    told = told.replace("should be", "must be").replace("should", "must", 1)
    value = found["input"]
    was = "" if isinstance(value, Mapping | list) or len(repr(value)) > SHORT else f", not {value!r}"
    return f"{path}: {told[:1].lower() + told[1:]}{was}" + (f" ({said})" if said else "")


def path_of(place: tuple[int | str, ...], schema: Mapping[str, Any], root: str) -> tuple[str, Mapping[str, Any]]:
    """Return a place as people write it, as far as the schema knows it, with the schema there."""
    path, node = root, schema
    for part in place:
        known = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
        inner = known or node.get("additionalProperties")
        if not isinstance(inner, Mapping) or part == OF_THE_KEY:
            break
        path, node = (f"{path}[{part}]" if isinstance(part, int) else f"{path}.{part}"), inner
    return path, node
