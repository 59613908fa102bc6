"""Server-side apply as far as the operator uses it: one manager's fields, by force; `applied` is the entry."""

from __future__ import annotations

import typing

LIST_MAPS = {"conditions": "type"}
"""Lists whose items are merged by a key; all others are replaced whole."""


def applied(live: typing.Any, last: typing.Any, new: typing.Any, field: str = "") -> typing.Any:
    """Return the live value after a manager that last applied `last` applies `new`.

    What it applied before and does not any more is removed; what others set stays.
    """
    if isinstance(new, dict):
        return _object(live if isinstance(live, dict) else {}, last if isinstance(last, dict) else {}, new)
    if isinstance(new, list) and field in LIST_MAPS:
        return _list_map(live or [], last or [], new, LIST_MAPS[field])
    return new


def _object(live: dict[str, typing.Any], last: dict[str, typing.Any], new: dict[str, typing.Any]) -> typing.Any:
    result = dict(live)
    for name, before in last.items():
        if name not in new and name in result:
            left = _withdrawn(result[name], before)
            if left is None:
                del result[name]
            else:
                result[name] = left
    for name, value in new.items():
        result[name] = applied(result.get(name), last.get(name), value, name)
    return result


def _withdrawn(live: typing.Any, last: typing.Any) -> typing.Any:
    """Return what is left of a value when a manager gives up all that it applied to it; None where nothing is."""
    if not (isinstance(live, dict) and isinstance(last, dict)):
        return None
    kept = {name: value for name, value in live.items() if name not in last}
    for name in live.keys() & last.keys():
        left = _withdrawn(live[name], last[name])
        if left is not None:
            kept[name] = left
    return kept or None


def _list_map(live: list[typing.Any], last: list[typing.Any], new: list[typing.Any], key: str) -> list[typing.Any]:
    wanted = {item[key]: item for item in new}
    before = {item[key]: item for item in last}
    result = []
    for item in live:
        if item[key] in wanted:
            result.append(applied(item, before.get(item[key]), wanted.pop(item[key])))
        elif item[key] not in before:
            result.append(item)
    return result + list(wanted.values())
