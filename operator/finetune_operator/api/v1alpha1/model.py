"""The base of every API object: frozen, strict, camelCase in JSON, snake_case in Python.

Not here: the CRD made of it (`api.schema`), which also puts the place of an object into the messages of its rules.
"""

from __future__ import annotations

import typing

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Rule = typing.Mapping[str, str]

PATH: typing.Final = "{path}"
"""Stands for the place of the object in messages: one object may have several, such as `spec.dataset.source`."""


class ApiModel(BaseModel):
    """An object of the API. Unknown fields are errors: a misspelt word must not be dropped in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


def rule(expression: str, message: str) -> Rule:
    """Return one CEL rule of the CRD: what must hold, and what the user reads when it does not."""
    return {"rule": expression, "message": message}


def rules(*each: Rule) -> dict[str, typing.Any]:
    """Return the schema extra that carries CEL rules into the CRD."""
    return {"x-kubernetes-validations": [dict(one) for one in each]}


def exactly_one(*names: str) -> Rule:
    """Return the rule that exactly one of the named fields is set."""
    return rule(f"{_count(names)} == 1", f"{PATH}: set exactly one of {', '.join(names)}")


def at_most_one(*names: str) -> Rule:
    """Return the rule that the named fields exclude each other."""
    return rule(f"{_count(names)} <= 1", f"{PATH}: set at most one of {', '.join(names)}")


def _count(names: tuple[str, ...]) -> str:
    return " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)


def text(description: str, *, limit: int = 253, pattern: str | None = None) -> typing.Any:
    """Declare a required, non-empty string field."""
    return Field(description=description, min_length=1, max_length=limit, pattern=pattern)


def maybe(description: str, *, limit: int = 253, pattern: str | None = None) -> typing.Any:
    """Declare a string field that may be unset, but not empty."""
    return Field(default=None, description=description, min_length=1, max_length=limit, pattern=pattern)


def choices(description: str, *, default: tuple[typing.Any, ...] = (), least: int = 0, most: int) -> typing.Any:
    """Declare a field that is a list of words, none of them twice."""
    return Field(
        default=default,
        description=description,
        min_length=least,
        max_length=most,
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
