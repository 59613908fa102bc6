"""Tells what a written status changed, so that writes which change nothing show however busy the fleet is."""

from __future__ import annotations

import hashlib
import json
import typing
from collections import deque

from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.telemetry import words

PHASE, PROGRESS, CONDITIONS, MESSAGE, NOTHING = words.CHANGES

REMEMBERED = 4
"""Statuses of a job that are remembered: one that comes again was undone by somebody, or flaps."""

TIMES = frozenset({"lastTransitionTime", "completionTime"})
TEXTS = frozenset({"message"})


class Writes:
    """The last statuses that were written of each job, by what they say."""

    def __init__(self) -> None:
        self._written: dict[JobKey, deque[bytes]] = {}

    def changed(self, key: JobKey, before: FineTuneJobStatus, after: FineTuneJobStatus) -> str:
        """Return what a status that has just been written changed, of several things the first of `words.CHANGES`."""
        known, written = self._written.setdefault(key, deque(maxlen=REMEMBERED)), _fingerprint(after)
        repeated = written in known
        known.append(written)
        return NOTHING if repeated else _changed(before, after)

    def forget(self, key: JobKey) -> None:
        """Forget a job that is gone."""
        self._written.pop(key, None)


def _changed(before: FineTuneJobStatus, after: FineTuneJobStatus) -> str:
    if before.phase is not after.phase:
        return PHASE
    if (before.progress, before.checkpoint) != (after.progress, after.checkpoint):
        return PROGRESS
    if _told(before, TIMES | TEXTS) != _told(after, TIMES | TEXTS):
        return CONDITIONS
    return MESSAGE if _told(before, TIMES) != _told(after, TIMES) else NOTHING


def _fingerprint(status: FineTuneJobStatus) -> bytes:
    return hashlib.blake2b(json.dumps(_told(status, TIMES)).encode(), digest_size=8).digest()


def _told(status: FineTuneJobStatus, left_out: frozenset[str]) -> typing.Any:
    return _without(status.model_dump(mode="json", by_alias=True, exclude_none=True), left_out)


def _without(value: typing.Any, names: frozenset[str]) -> typing.Any:
    if isinstance(value, dict):
        return {name: _without(part, names) for name, part in value.items() if name not in names}
    return [_without(part, names) for part in value] if isinstance(value, list) else value
