"""The one clock of a modelled cluster; it moves when it is told to."""

from __future__ import annotations

from dataclasses import dataclass

START = 1_800_000_000.0


@dataclass
class Clock:
    """`now` in seconds since the epoch."""

    now: float = START

    def advance(self, seconds: float) -> None:
        self.now += seconds
