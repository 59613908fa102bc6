"""Figures as a table, and what is out of its range."""

from __future__ import annotations

import pathlib

import yaml

RANGES = pathlib.Path(__file__).resolve().parent / "ranges.yaml"


def table(scenario: str, figures: dict[str, float]) -> str:
    """Return the figures of a scenario, each with its limit."""
    limits = _limits().get(scenario, {})
    rows = [f"  {name:34} {_number(value):>14}  {_limit(limits.get(name))}" for name, value in figures.items()]
    return "\n".join(rows)


def judged(measured: dict[str, dict[str, float]]) -> int:
    """Say what is out of its range; return 1 where something is."""
    limits = _limits()
    wrong = [
        f"{scenario}: {name} is {_number(value)}, {_limit(limits[scenario][name])}"
        for scenario, figures in measured.items()
        for name, value in figures.items()
        if not _fits(value, limits.get(scenario, {}).get(name, {}))
    ]
    print("\n".join(wrong) or "everything is in its range")
    return 1 if wrong else 0


def _limits() -> dict[str, dict[str, dict[str, float]]]:
    return yaml.safe_load(RANGES.read_text("utf-8"))["scenarios"] if RANGES.exists() else {}


def _fits(value: float, limit: dict[str, float]) -> bool:
    return limit.get("least", value) <= value <= limit.get("most", value)


def _limit(limit: dict[str, float] | None) -> str:
    words = [f"at {word} {_number(limit[word])}" for word in ("least", "most") if limit and word in limit]
    return ", ".join(words)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"
