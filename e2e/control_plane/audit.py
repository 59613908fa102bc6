"""The API server's audit log as figures: who wrote what, and when it was asked for and answered."""

from __future__ import annotations

import datetime as dt
import json
import pathlib
import typing
from dataclasses import dataclass

OPERATOR = "system:serviceaccount:finetune-system:finetune-operator"


@dataclass(frozen=True, slots=True)
class Write:
    """One write; times in seconds since the epoch, `code` is the HTTP status of the answer."""

    user: str
    verb: str
    resource: str
    """Plural, with the subresource behind a slash."""
    namespace: str
    name: str
    code: int
    received: float
    answered: float
    body: dict[str, typing.Any] | None = None
    """What was sent, where the policy keeps it."""

    @property
    def done(self) -> bool:
        """Whether the API server did it."""
        return self.code < 300


def writes(log: pathlib.Path, since: int = 0) -> list[Write]:
    """Return the writes in the order in which they were answered; `since` is the size that the log had before."""
    with log.open("rb") as file:
        file.seek(since)
        return parsed(file.read())


def parsed(log: bytes) -> list[Write]:
    """Return the writes of a log; a last line that is not whole yet is none."""
    return [_write(json.loads(line)) for line in log.splitlines(keepends=True) if line.endswith(b"\n")]


def _write(event: dict[str, typing.Any]) -> Write:
    what = event.get("objectRef") or {}
    parts = (what.get("resource", ""), what.get("subresource"))
    return Write(
        user=event["user"]["username"],
        verb=event["verb"],
        resource="/".join(part for part in parts if part),
        namespace=what.get("namespace", ""),
        name=what.get("name", ""),
        code=event["responseStatus"]["code"],
        received=_moment(event["requestReceivedTimestamp"]),
        answered=_moment(event["stageTimestamp"]),
        body=event.get("requestObject"),
    )


def _moment(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()
