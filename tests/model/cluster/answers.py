"""How the API server says no."""

from __future__ import annotations

from cluster.objects import Body


class Refused(Exception):
    """A request that was not done: HTTP status, reason in one word, and the message."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code, self.reason, self.message = code, reason, message


def status_of(code: int, reason: str, message: str) -> Body:
    """Return the object that a client gets for a request that was not done."""
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
