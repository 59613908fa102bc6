"""The base of every API object: frozen, strict, camelCase in JSON, snake_case in Python."""

from __future__ import annotations

import typing

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Rule = typing.Mapping[str, str]


class ApiModel(BaseModel):
    """An object of the API. Unknown fields are errors: a misspelt word must not be dropped in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


def rule(expression: str, message: str) -> Rule:
    """Return one CEL rule of the CRD: what must hold, and what the user reads when it does not."""
    return {"rule": expression, "message": message}


def rules(*each: Rule) -> dict[str, typing.Any]:
    """Return the schema extra that carries CEL rules into the CRD."""
    return {"x-kubernetes-validations": [dict(one) for one in each]}


def exactly_one(path: str, *names: str) -> Rule:
    """Return the rule that exactly one of the named fields is set."""
    count = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)
    return rule(f"{count} == 1", f"{path}: set exactly one of {', '.join(names)}")


def text(description: str, *, limit: int = 253, pattern: str | None = None) -> typing.Any:
    """Declare a required, non-empty string field."""
    return Field(description=description, min_length=1, max_length=limit, pattern=pattern)
