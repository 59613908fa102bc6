"""A prediction of memory: bytes by term.

Not here: how the terms come about (`planning.memory.device`, `planning.memory.host`).
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024**2
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by term; the terms add up to the peak."""

    terms: tuple[tuple[str, int], ...]

    @property
    def peak(self) -> int:
        """Bytes held at the worst moment."""
        return sum(size for _name, size in self.terms)


def readable(size: float) -> str:
    """Write bytes as people compare them."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"
