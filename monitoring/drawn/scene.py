"""What is looked at: a time of a Prometheus. Not here: which one (`pictures`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asked import filled
from replay import Replay


@dataclass(frozen=True, slots=True)
class Scene:
    """What is looked at: a Prometheus, from when to when, and the values of the variables."""

    prometheus: Replay
    start: float
    end: float
    step: int
    values: Mapping[str, str]
    marks: tuple[tuple[float, str], ...] = ()
    """Moments that are marked, with their colours."""

    def ask(self, expr: str, *, instant: bool = False) -> list[dict[str, Any]]:
        """Ask for the whole time, or for its end."""
        query = filled(expr, {**self.values, "__range": f"{self.end - self.start:.0f}s"})
        if instant:
            return self.prometheus.at(query, self.end)
        return self.prometheus.over(query, self.start, self.end, self.step)
