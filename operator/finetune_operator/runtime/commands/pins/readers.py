"""How the value of a pin is read from its text; each reader says what it must be where it is not.

Not here: which pin has which reader (`pins.names`), what published tables call things (`pins.tables`).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

Reader = Callable[[str], Any]

GIB: Final = 2**30
AMOUNT: Final = re.compile(r"(\d+(?:\.\d+)?)\s?(?:GiB|GB|Gi|G)", re.IGNORECASE)


def one_of(words: Iterable[str]) -> Reader:
    """Make a reader of closed words."""
    known = {str(word.value if isinstance(word, enum.Enum) else word): word for word in words}

    def read(text: str) -> Any:
        if text not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return known[text]

    return read


def whole(text: str) -> int:
    """Read a whole number."""
    try:
        return int(text)
    except ValueError as error:
        raise ValueError("must be a whole number") from error


def number(text: str) -> float:
    """Read a number."""
    try:
        return float(text)
    except ValueError as error:
        raise ValueError("must be a number") from error


def switch(text: str) -> bool:
    """Read true or false, yes or no."""
    return str(one_of(("true", "false", "yes", "no"))(text)) in {"true", "yes"}


def words(text: str) -> list[str]:
    """Read words between commas."""
    return [word.strip() for word in text.split(",")]


def width(text: str) -> int:
    """Read the bytes of a number: 2 or 4."""
    return int(one_of(("2", "4"))(text))


def memory(text: str) -> int:
    """Read an amount of memory in bytes; a card of 80 GB has 80 GiB, so both words mean the latter."""
    found = AMOUNT.fullmatch(text)
    if found is None:
        raise ValueError("must be an amount of memory, such as 24GiB")
    return int(float(found[1]) * GIB)
