"""Options of a PEFT config that come by name from the user: known ones only, of the right type.

Not here: what a method needs beside them (`peft_types.py`).
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from typing import Any

import peft

from finetune_trainer.contract import FailureReason
from finetune_trainer.process.failures import TrainerFailure

PATH = "technique.peft.options"
SCALARS = (bool, int, float, str)
OWN = frozenset(field.name for field in dataclasses.fields(peft.PeftConfig))
"""What every config has and the trainer sets."""


def read(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as the config takes them; a list comes as one string, its items between commas.

    Raises:
        TrainerFailure: InvalidRun.
    """
    hints = known(kind)
    values = {}
    for name, value in given.items():
        if name not in hints:
            raise _refused(f"{PATH}.{name}: {kind} has no such option; it has {', '.join(sorted(hints))}")
        if not any(_fits(value, hint) for hint in hints[name]):
            words = " or ".join(_word(hint) for hint in hints[name])
            raise _refused(f"{PATH}.{name}: {value!r} is not {words}")
        values[name] = _listed(value, hints[name])
    return values


def known(kind: str) -> dict[str, tuple[Any, ...]]:
    """Return the options of a config that a number, a word or a boolean can express, with the types of each."""
    config = getattr(peft, kind)
    hints = typing.get_type_hints(config)
    flat = {field.name: _flat(hints[field.name]) for field in dataclasses.fields(config) if field.name not in OWN}
    return {name: kinds for name, kinds in flat.items() if kinds}


def _flat(hint: Any) -> tuple[Any, ...]:
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return tuple(each for option in typing.get_args(hint) for each in _flat(option))
    is_enum = isinstance(hint, type) and issubclass(hint, enum.Enum)
    return (hint,) if hint in SCALARS or is_enum or hint is list or origin in (list, typing.Literal) else ()


def _fits(value: Any, hint: Any) -> bool:
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    if hint is list or typing.get_origin(hint) is list:
        return type(value) in (str, int)
    if hint in SCALARS:
        return type(value) is hint or (hint is float and type(value) is int)
    return value in [each.value for each in hint]


def _word(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {', '.join(map(str, typing.get_args(hint)))}"
    if hint is list or typing.get_origin(hint) is list:
        return "a list with commas"
    return f"of type {hint.__name__}" if hint in SCALARS else f"one of {', '.join(str(each.value) for each in hint)}"


def _listed(value: Any, hints: tuple[Any, ...]) -> Any:
    """Split what stands for a list; a plain string stays one where the config takes strings and nothing is split."""
    if not any(hint is list or typing.get_origin(hint) is list for hint in hints):
        return value
    items = [item.strip() for item in str(value).split(",")]
    if any(hint == list[int] for hint in hints) and all(item.lstrip("-").isdigit() for item in items):
        return [int(item) for item in items]
    return items


def _refused(message: str) -> TrainerFailure:
    return TrainerFailure(FailureReason.INVALID_RUN, message)
