"""How things of the catalog are read from its data files and found by name.

Not here: what the things are (`planning.catalog.models` and its neighbours).
"""

from __future__ import annotations

import difflib
import importlib.resources
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

import yaml


class Named(Protocol):
    """Anything with a name of its own and others."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, the proper one first."""


Thing = TypeVar("Thing", bound=Named)


def read(file: str) -> Any:
    """Return the content of a data file, without its types checked."""
    return yaml.safe_load(
        importlib.resources.files("finetune_operator.planning").joinpath("data", file).read_text("utf-8")
    )


def by_name(things: Iterable[Thing], name: str) -> Thing | None:
    """Return the thing of that name, letter case aside."""
    wanted = name.casefold()
    return next((thing for thing in things if wanted in (known.casefold() for known in thing.names)), None)


def alike(things: Iterable[Named], name: str) -> tuple[str, ...]:
    """Return up to three names like the given one, letter case aside: those it begins, then those spelt most alike."""
    names = {known.casefold(): known for thing in things for known in thing.names}
    wanted = name.casefold()
    begun = sorted((known for known in names if known.startswith(wanted)), key=len)
    spelt = difflib.get_close_matches(wanted, names, n=3, cutoff=0.4)
    return tuple(names[known] for known in dict.fromkeys([*begun, *spelt]))[:3]
