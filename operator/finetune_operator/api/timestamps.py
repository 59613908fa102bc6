"""Kubernetes' way of writing a moment, and seconds since the epoch, our way of computing with it."""

from datetime import UTC, datetime


def parse(text: str) -> float:
    """Return the seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()


def write(seconds: float) -> str:
    """Return an RFC 3339 time, to the second as the API server keeps it."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def micro(seconds: float) -> str:
    """Return an RFC 3339 time with microseconds, as Leases have it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
