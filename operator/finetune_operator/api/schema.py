"""Turns the pydantic models into the CustomResourceDefinition; `crd()` is the entry.

Not here: writing the file (`.ci/generate`).
"""

from __future__ import annotations

import typing

from pydantic import BaseModel

from finetune_operator.api import keys
from finetune_operator.api.v1alpha1.contradictions import neither_comes_nor_goes, unchanged
from finetune_operator.api.v1alpha1.model import PATH, rule
from finetune_operator.api.v1alpha1.spec import IMMUTABLE, FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus

JsonObject = dict[str, typing.Any]

MAX_NAME = 50
"""Longest job name: children append a dash, five characters, a dash and the attempt, and a Job name ends at 63."""

COLUMNS: tuple[tuple[str, str, str, int], ...] = (
    ("Phase", "string", ".status.phase", 0),
    ("Progress", "string", ".status.columns.progress", 0),
    ("Step", "string", ".status.columns.step", 0),
    ("Loss", "string", ".status.columns.loss", 0),
    ("ETA", "string", ".status.columns.eta", 0),
    ("Devices", "string", ".status.columns.devices", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Model", "string", ".spec.model.name", 1),
    ("Method", "string", ".status.plan.method", 1),
    ("Queue", "string", ".spec.queueName", 1),
    ("Attempt", "string", ".status.columns.attempt", 1),
    ("Reason", "string", ".status.columns.reason", 1),
)
"""Name, type, path and priority (1: only with `-o wide`) of each column of `kubectl get`."""

RULES = "x-kubernetes-validations"
_DROPPED = frozenset({"title", "$defs", "additionalProperties"})
OF_THE_WHOLE = (
    rule(
        f"size(self.metadata.name) <= {MAX_NAME}",
        f"metadata.name: at most {MAX_NAME} characters, so that the names of the job's children fit; shorten it",
    ),
    rule(
        "!self.metadata.name.contains('.')",
        "metadata.name: no dots, since host names of pods are made of it; write a dash instead",
    ),
    rule(
        "!has(self.spec.model.fromJob) || self.spec.model.fromJob != self.metadata.name",
        "spec.model.fromJob: names this very job; name the job to go on from, or give this one another name",
    ),
)
"""Rules that look at the metadata of a job, of which CEL sees its name and no more."""

_STRICT_INT = {"integer": {"format": "int64"}}


def crd() -> JsonObject:
    """Return the CustomResourceDefinition as a plain object."""
    schema: JsonObject = {
        "type": "object",
        "description": "FineTuneJob fine-tunes a model on a dataset: planned first, run in pods, watched, explained.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _kept(structural(FineTuneJobSpec, "spec"), "spec"),
            "status": _in_parts(structural(FineTuneJobStatus, "status")),
        },
        RULES: [dict(one) for one in OF_THE_WHOLE],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{keys.PLURAL}.{keys.GROUP}"},
        "spec": {
            "group": keys.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": keys.KIND,
                "listKind": f"{keys.KIND}List",
                "plural": keys.PLURAL,
                "singular": keys.SINGULAR,
                "shortNames": [keys.SHORT_NAME],
                "categories": list(keys.CATEGORIES),
            },
            "versions": [
                {
                    "name": keys.VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "selectableFields": [{"jsonPath": ".status.phase"}],
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path, **({"priority": priority} if priority else {})}
                        for name, kind, path, priority in COLUMNS
                    ],
                }
            ],
        },
    }


def structural(model: type[BaseModel], path: str) -> JsonObject:
    """Return a model's schema in the structural form that a CRD asks for: no references, no unions, no titles."""
    schema = model.model_json_schema(by_alias=True)
    return _inline(schema, schema.get("$defs", {}), path)


def _kept(spec: JsonObject, path: str) -> JsonObject:
    """Put into a spec the rules that keep its fields as they were admitted."""
    for name in IMMUTABLE:
        field, at = spec["properties"][name], f"{path}.{name}"
        field[RULES] = [unchanged(at), *field.get(RULES, ())]
        if name not in spec["required"]:
            spec[RULES].append(neither_comes_nor_goes(name, at))
    return spec


def _in_parts(status: JsonObject) -> JsonObject:
    """Make each object in a status one field to the API server, which else keeps account of every leaf.

    One manager writes them all. Conditions stay a list by type, as everywhere in Kubernetes.
    """
    for part in status["properties"].values():
        if part.get("type") == "object":
            part["x-kubernetes-map-type"] = "atomic"
    return status


def _inline(node: JsonObject, definitions: JsonObject, path: str) -> JsonObject:
    node = _resolve(node, definitions)
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if isinstance(result.get("default"), (dict, list)) or result.get("default", 0) is None:
        del result["default"]
    if "properties" in node:
        result["properties"] = {
            name: _inline(child, definitions, f"{path}.{name}") for name, child in node["properties"].items()
        }
    elif isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _inline(node["additionalProperties"], definitions, path)
    if "items" in node:
        result["items"] = _inline(node["items"], definitions, f"{path}[]")
    for bound in ("exclusiveMinimum", "exclusiveMaximum"):
        if bound in result:  # JSON Schema has the bound itself here, OpenAPI v3.0 a boolean beside it
            result[bound.removeprefix("exclusive").lower()] = result.pop(bound)
            result[bound] = True
    result.update(_STRICT_INT.get(result.get("type", ""), {}))
    if RULES in result:
        result[RULES] = [one | {"message": one["message"].replace(PATH, path)} for one in result[RULES]]
    return result


def _resolve(node: JsonObject, definitions: JsonObject) -> JsonObject:
    own = {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
    if "$ref" in node:
        target = _resolve(definitions[node["$ref"].rsplit("/", 1)[1]], definitions)
        return {**target, **own}
    if "anyOf" in node:
        (inner,) = [option for option in node["anyOf"] if option.get("type") != "null"]
        return {**_resolve(inner, definitions), **own}
    return dict(node)
