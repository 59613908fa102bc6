"""Documents of the contract as JSON: `to_json` writes one, `from_json` reads it strictly.

Keys are the camelCase of the field names. A key that is missing, of the wrong type or a number that nobody can keep is
an error that names its path. So is an unknown key of what a trainer is told to do: leaving it out would change that. In
what a trainer says it is passed over: a later release may say more than an earlier operator asks for.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import math
import types
import typing

from finetune_trainer.contract.inspection import InspectionReport, InspectionRun
from finetune_trainer.contract.run import SCHEMA_VERSION, TrainerRun
from finetune_trainer.contract.word import Artifact, DatasetFacts, ExitReport, Progress, TokenHistogram

SAID = frozenset({Progress, ExitReport, Artifact, DatasetFacts, TokenHistogram, InspectionReport})
"""What a trainer writes, and the parts of it."""

MOST = 2**63
"""Whole numbers are smaller than this, and not below its negative: the API server keeps no others."""


class ContractError(ValueError):
    """A document does not follow the contract. The message starts with the path of the wrong key."""


Document = TrainerRun | Progress | ExitReport | InspectionRun | InspectionReport
T = typing.TypeVar("T")


def to_json(document: Document) -> str:
    """Write a document as one line of JSON with camelCase keys."""
    return json.dumps(_encode(document), separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def from_json(kind: type[T], text: str) -> T:
    """Read a document of the given kind.

    Raises:
        ContractError: not JSON, another schemaVersion, or a key that does not follow the contract.
    """
    try:
        raw = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # a pod may answer with anything, brackets without end included
        raise ContractError(f"$: not JSON ({error})") from error
    if isinstance(raw, dict) and raw.get("schemaVersion") != SCHEMA_VERSION:
        raise ContractError(f"$.schemaVersion: {raw.get('schemaVersion')!r}, this side speaks {SCHEMA_VERSION}")
    return typing.cast("T", _decode(kind, raw, "$"))


def _no_constant(name: str) -> typing.NoReturn:
    raise ValueError(f"{name} is no number of JSON's")


def camel(name: str) -> str:
    """Turn `max_steps` into `maxSteps`."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


@functools.cache
def _keys(kind: type) -> tuple[tuple[str, str], ...] | None:
    """Return the fields of a dataclass and their keys in JSON; None of what is none."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple((field.name, camel(field.name)) for field in dataclasses.fields(kind))


def _encode(value: typing.Any) -> typing.Any:
    if (keys := _keys(type(value))) is not None:
        return {key: _encode(getattr(value, name)) for name, key in keys}
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    return value


def _decode(kind: typing.Any, raw: typing.Any, path: str) -> typing.Any:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        kinds = typing.get_args(kind)
        if raw is None and types.NoneType in kinds:
            return None
        return _decode(next((each for each in kinds if each is type(raw)), kinds[0]), raw, path)
    if origin is typing.Annotated:
        _float, latest = typing.get_args(kind)
        return _moment(latest, raw, path)
    if dataclasses.is_dataclass(kind):
        return _decode_object(typing.cast("type[typing.Any]", kind), raw, path)
    if origin is tuple:
        item, _ellipsis = typing.get_args(kind)
        return tuple(_decode(item, value, f"{path}[{index}]") for index, value in enumerate(_expect(list, raw, path)))
    if origin is dict:
        _key, item = typing.get_args(kind)
        return {key: _decode(item, value, f"{path}.{key}") for key, value in _expect(dict, raw, path).items()}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        try:
            return kind(raw)
        except ValueError:
            raise ContractError(f"{path}: {raw!r} is none of {', '.join(str(x.value) for x in kind)}") from None
    return _number(kind, raw, path) if kind in {int, float} else _expect(kind, raw, path)


def _number(kind: type[int | float], raw: typing.Any, path: str) -> int | float:
    """Return a number that JSON, a float and the API server have room for."""
    whole = isinstance(raw, int) and not isinstance(raw, bool)
    found = _expect(int if whole and kind is float else kind, raw, path)
    if not (-MOST <= found < MOST if whole else math.isfinite(found)):
        raise ContractError(f"{path}: the number is too large")
    return kind(found)


def _moment(latest: float, raw: typing.Any, path: str) -> float:
    found = _number(float, raw, path)
    if not 0 <= found <= latest:
        raise ContractError(f"{path}: {found!r} is no time in seconds since the epoch")
    return found


def _decode_object(kind: type[typing.Any], raw: typing.Any, path: str) -> typing.Any:
    document = _expect(dict, raw, path)
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {camel(field.name): field for field in dataclasses.fields(kind)}
    unknown = sorted(document.keys() - fields.keys())
    if unknown and kind not in SAID:
        raise ContractError(f"{path}.{unknown[0]}: unknown key")
    values = {}
    for key, field in fields.items():
        if key in document:
            values[field.name] = _decode(hints[field.name], document[key], f"{path}.{key}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ContractError(f"{path}.{key}: missing")
    return kind(**values)


def _expect(kind: type[typing.Any], raw: typing.Any, path: str) -> typing.Any:
    if not isinstance(raw, kind) or (isinstance(raw, bool) and kind is not bool):
        raise ContractError(f"{path}: {raw!r} is not of type {kind.__name__}")
    return raw
