"""Reads FineTuneJobs from manifests, and says of bad ones which field is wrong and what to write; `read` is the entry.

Not here: what the planner holds against a valid job (`planning`).
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from finetune_operator.api import keys
from finetune_operator.api.schema import JsonObject
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.runtime.commands import admission, complaints
from finetune_operator.runtime.commands.complaints import BadInput
from finetune_operator.runtime.commands.pins import Pins

STDIN = "-"
LIST = "List"


@dataclass(frozen=True, slots=True)
class Job:
    """A job that the API server would take."""

    name: str
    spec: FineTuneJobSpec


def read(source: str, pins: Pins) -> tuple[Job, ...]:
    """Return the FineTuneJobs of a file, or of standard input for `-`, with pins in place of what they say themselves.

    Raises:
        BadInput: the file cannot be read, holds no FineTuneJob, or one that is wrong.
    """
    documents = [one for one in _documents(source) if one is not None]
    kinds = [one.get("kind", "no kind") if isinstance(one, dict) else type(one).__name__ for one in documents]
    ours = [one for one, kind in zip(documents, kinds, strict=True) if kind == keys.KIND]
    if not ours:
        found = f"only {', '.join(dict.fromkeys(map(str, kinds)))}" if kinds else "nothing"
        raise BadInput(f"{source}: there is {found} in it; `plan` takes manifests of kind {keys.KIND}")
    return tuple(_job(source, manifest, pins) for manifest in ours)


def _documents(source: str) -> Iterator[Any]:
    try:
        text = sys.stdin.read() if source == STDIN else pathlib.Path(source).read_text("utf-8")
        documents = list(yaml.safe_load_all(text))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"{source}: {reason}") from error
    except yaml.YAMLError as error:
        raise BadInput(f"{source}: is no YAML: {' '.join(str(error).split())}") from error
    for one in documents:
        if isinstance(one, dict) and one.get("kind") == LIST:
            yield from one.get("items") or []
        else:
            yield one


def _job(source: str, manifest: JsonObject, pins: Pins) -> Job:
    metadata = manifest.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if manifest.get("apiVersion") != keys.API_VERSION:
        raise BadInput(f"{source}: apiVersion: must be {keys.API_VERSION}, not {manifest.get('apiVersion')!r}")
    if not isinstance(name, str) or not name:
        raise BadInput(f"{source}: metadata.name: is missing; give the job a name")
    wrong = _checked(manifest.get("spec"))
    if not wrong:
        spec = pins.applied(manifest["spec"])
        wrong = _checked(spec) or list(admission.objections({"metadata": {"name": name}, "spec": spec}))
    if wrong:
        raise BadInput("\n".join(f"{source}: {name}: {line}" for line in wrong))
    return Job(name, _spec(spec))


def _spec(spec: JsonObject) -> FineTuneJobSpec:
    """Read a spec as strictly as the API server: a number in quotes is none."""
    return FineTuneJobSpec.model_validate_json(json.dumps(spec, default=str), strict=True)


def _checked(spec: object) -> list[str]:
    """Return what is wrong with single fields."""
    schema = admission.schema()["properties"]["spec"]
    if not isinstance(spec, dict):
        return ["spec: is missing; it says what to train, at least model, task and dataset"]
    unknown = list(admission.unknown_fields(spec, schema, "spec"))
    if unknown:
        return unknown
    try:
        _spec(spec)
    except ValidationError as error:
        return complaints.lines(error, schema, "spec")
    return []
