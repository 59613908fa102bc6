"""What an operator's watch brings: each object's changes, late, more than once, collapsed, or lost and listed again.

As with kopf: changes of one object come in their order but any may be skipped for a newer one, those of different
objects come in any order, and after a lost connection (410) what is there is listed, while what went is never told.
"""

from __future__ import annotations

from cluster import objects
from cluster.api_server import ApiServer, Change
from cluster.kinds import Kind
from cluster.objects import Body

Event = dict[str, object]


class Stream:
    """A watch of one kind by one client, for objects with a label (or all)."""

    def __init__(self, api: ApiServer, kind: Kind, label: str = "") -> None:
        self.api, self.kind, self.label = api, kind, label
        self._read = 0
        self._pending: dict[str, list[Event]] = {}
        self._last: dict[str, Event] = {}

    def list(self, behind: int = 0) -> list[Event]:
        """Begin anew with what is there, or was there so many changes ago; that which went meanwhile stays untold."""
        history = self._history()
        self._read = max(0, len(history) - behind)
        self._pending.clear()
        there: dict[str, Body] = {}
        for change in history[: self._read]:
            if change.new is None:
                there.pop(objects.uid(change.old or {}), None)
            else:
                there[objects.uid(change.new)] = change.new
        return [{"type": None, "object": body} for body in there.values() if self._matches(body)]

    def waiting(self) -> list[str]:
        """Return the uids of objects whose changes were not told yet, oldest first."""
        self._fetch()
        return list(self._pending)

    def next(self, uid: str, *, newest: bool = False) -> Event:
        """Return an object's next change, or its newest, with all before it skipped."""
        pending = self._pending[uid]
        event = pending[-1] if newest else pending[0]
        left = [] if newest else pending[1:]
        if left:
            self._pending[uid] = left
        else:
            del self._pending[uid]
        self._last[uid] = event
        return event

    def again(self) -> list[Event]:
        """Return changes that were told before and may be told again."""
        return list(self._last.values())

    def _history(self) -> list[Change]:
        return self.api.history.get(self.kind, [])

    def _fetch(self) -> None:
        history = self._history()
        for change in history[self._read :]:
            body = change.new or self.api_object(change)
            if self._matches(body):
                kind = "DELETED" if change.new is None else "ADDED" if change.old is None else "MODIFIED"
                self._pending.setdefault(objects.uid(body), []).append({"type": kind, "object": body})
        self._read = len(history)

    @staticmethod
    def api_object(change: Change) -> Body:
        """Return the last state of an object that went, at the version of its end."""
        return objects.with_metadata(change.old or {}, resourceVersion=str(change.revision))

    def _matches(self, body: Body) -> bool:
        return not self.label or self.label in (body["metadata"].get("labels") or {})
