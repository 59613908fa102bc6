"""Figures as a table, and what is out of its range.

The limits are those of a machine on which the barest of prototypes takes `scenarios.BARE_P50_SECONDS`. Where it takes
longer, what takes time may take as much longer; where it was not asked for, the limits stand as they are.
"""

from __future__ import annotations

import pathlib

import yaml

STRETCHED = ("_seconds", "cpu_cores")
"""How figures end that grow with the slowness of a machine."""

SHRUNK = ("per_second",)
"""How those end that fall with it."""

RANGES = pathlib.Path(__file__).resolve().parent / "ranges.yaml"


def table(scenario: str, figures: dict[str, float], slower: float = 1.0) -> str:
    """Return the figures of a scenario, each with its limit on a machine so many times slower."""
    limits = _limits(slower).get(scenario, {})
    rows = [f"  {name:34} {_number(value):>14}  {_limit(limits.get(name))}" for name, value in figures.items()]
    return "\n".join(rows)


def judged(measured: dict[str, dict[str, float]], slower: float = 1.0) -> int:
    """Say what is out of its range on a machine so many times slower; return 1 where something is."""
    limits = _limits(slower)
    wrong = [
        f"{scenario}: {name} is {_number(value)}, {_limit(limits[scenario][name])}"
        for scenario, figures in measured.items()
        for name, value in figures.items()
        if not _fits(value, limits.get(scenario, {}).get(name, {}))
    ]
    print("\n".join(wrong) or "everything is in its range")
    return 1 if wrong else 0


def _limits(slower: float) -> dict[str, dict[str, dict[str, float]]]:
    limits = yaml.safe_load(RANGES.read_text("utf-8"))["scenarios"]
    return {
        scenario: {figure: _on(slower, figure, limit) for figure, limit in figures.items()}
        for scenario, figures in limits.items()
    }


def _on(slower: float, figure: str, limit: dict[str, float]) -> dict[str, float]:
    factor = slower if figure.endswith(STRETCHED) else 1 / slower if figure.endswith(SHRUNK) else 1
    return {word: value * factor for word, value in limit.items()}


def _fits(value: float, limit: dict[str, float]) -> bool:
    return limit.get("least", value) <= value <= limit.get("most", value)


def _limit(limit: dict[str, float] | None) -> str:
    words = [f"at {word} {_number(limit[word])}" for word in ("least", "most") if limit and word in limit]
    return ", ".join(words)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"
