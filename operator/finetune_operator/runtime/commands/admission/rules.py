"""Says what the API server would hold against a manifest, by the very schema that it has; `objections` is the entry.

Not here: types and bounds of single fields (pydantic, `runtime.commands.manifest`), evaluating a rule
(`runtime.commands.admission.cel`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from finetune_operator.api.schema import RULES, JsonObject, crd
from finetune_operator.runtime.commands.admission import cel
from finetune_operator.runtime.commands.complaints import like

OVER_TIME = "oldSelf"
"""What rules about a change name; a manifest has not changed yet."""


@functools.cache
def schema() -> JsonObject:
    """Return the schema of a FineTuneJob, as the definition has it."""
    found: JsonObject = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def unknown_fields(value: object, node: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield fields that the schema does not have, with those that may have been meant."""
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from unknown_fields(one, node.get("items", {}), f"{path}[{number}]")
    if not isinstance(value, dict) or "properties" not in node:
        return
    for name, inner in value.items():
        known = node["properties"].get(name)
        if known is None:
            yield f"{path}.{name}: there is no such field; {like(str(name), node['properties'])}"
        else:
            yield from unknown_fields(inner, known, f"{path}.{name}")


def objections(manifest: JsonObject) -> Iterator[str]:
    """Yield the message of each rule that a manifest breaks. Its fields have to be of the right types."""
    yield from _broken({key: manifest[key] for key in ("metadata", "spec")}, schema())


def _broken(value: object, node: Mapping[str, Any]) -> Iterator[str]:
    value = with_defaults(value, node)
    for rule in node.get(RULES, ()):
        if OVER_TIME not in rule["rule"] and not cel.holds(rule["rule"], value):
            yield rule["message"]
    if isinstance(value, list):
        for one in value:
            yield from _broken(one, node.get("items", {}))
    elif isinstance(value, dict):
        for name, inner in node.get("properties", {}).items():
            if name in value:
                yield from _broken(value[name], inner)


def with_defaults(value: object, node: Mapping[str, Any]) -> object:
    """Return a value with the defaults that the API server would fill in, at every depth; null counts as unset."""
    if isinstance(value, list):
        return [with_defaults(one, node.get("items", {})) for one in value]
    if not isinstance(value, dict):
        return value
    fields = node.get("properties", {})
    defaults = {name: inner["default"] for name, inner in fields.items() if "default" in inner}
    given = {name: with_defaults(inner, fields.get(name, {})) for name, inner in value.items() if inner is not None}
    return defaults | given
