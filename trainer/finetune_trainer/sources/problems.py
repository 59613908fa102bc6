"""What can go wrong with a source, as far as it makes a difference to what happens next.

Not here: which reason of the contract that is (`fetch.py`).
"""

from __future__ import annotations


class SourceProblem(Exception):
    """Files that cannot be had; the message says what was asked for, what came back and the way out."""


class NotFound(SourceProblem):
    """There is no such thing there."""


class Denied(SourceProblem):
    """It is there, or may be, and the credentials do not open it."""


class Invalid(SourceProblem):
    """What came is not what was asked for: another checksum, a redirect that must not be followed, no such files."""


class Unreachable(SourceProblem):
    """The other side does not answer, or not now; asking again may help."""

    def __init__(self, message: str, *, wait_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds
        """What the other side asked to wait, 0 where it asked nothing."""
