"""How everything looks: sizes, colours, and how numbers and moments are written."""

# ruff: noqa: PLR2004 - a picture is made of sizes

from __future__ import annotations

import math
from typing import Any

from matplotlib import dates, ticker
from matplotlib.axes import Axes

WIDTH, UNIT, GAP, DPI = 15.0, 0.33, 0.09, 80
COLUMNS = 24
INK, PALE, FRAME, GROUND, PAPER = "#24292f", "#6e7781", "#d0d7de", "#f6f8fa", "#ffffff"
COLOURS = ("#3274d9", "#56a64b", "#f2a72c", "#e02f44", "#8f3bb8", "#37a2b4", "#b877d9", "#705da0", "#c15c17", "#58140c")
NAMED = {
    "green": "#37872d",
    "light-green": "#96d98d",
    "orange": "#d9760d",
    "light-orange": "#ffb357",
    "yellow": "#f2cc0c",
    "red": "#c4162a",
    "blue": "#1f60c4",
    "purple": "#8f3bb8",
    "light-purple": "#ca95e5",
    "super-light-purple": "#deb6f2",
    "text": "#8e959c",
}
NOTHING = 0.06
"""Top of an axis on which nothing happened."""

KIB = 1024
MOMENTS_MOST = 6
"""Ticks on an axis of time, at most."""

MINUTES = (1, 2, 5, 10, 15, 20, 30)


def readable(value: float, unit: str) -> str:
    """Write a number as Grafana would."""
    if not math.isfinite(value):
        return "-"
    if unit == "s":
        return duration(value)
    if unit in {"bytes", "Bps"}:
        return _scaled(value, KIB, ("B", "KiB", "MiB", "GiB", "TiB")) + ("/s" if unit == "Bps" else "")
    shapes = {
        "percentunit": f"{100 * value:.3g}%",
        "percent": f"{value:.3g}%",
        "currencyUSD": f"${value:.2f}" if value >= 0.01 or value == 0 else f"${value:.2g}",
        "watt": f"{value:.3g} W",
        "celsius": f"{value:.3g} °C",
        "ops": f"{value:.3g}/s",
        "reqps": f"{value:.3g}/s",
        "h": f"{value:.3g} h",
        "sci": f"{value:.2g}",
    }
    return shapes.get(unit, f"{value:.0f}" if abs(value - round(value)) < 1e-9 else f"{value:.3g}")


def duration(seconds: float) -> str:
    """Write a time in its largest unit."""
    size = abs(seconds)
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if size >= unit:
            return f"{seconds / unit:.3g} {name}"
    return "0 s" if size == 0 else f"{1000 * seconds:.3g} ms"


def _scaled(value: float, base: int, names: tuple[str, ...]) -> str:
    power = min(int(math.log(abs(value), base)), len(names) - 1) if abs(value) >= 1 else 0
    return f"{value / base**power:.3g} {names[power]}"


def round_numbers(top: float, unit: str) -> ticker.Locator:
    """Return ticks at round numbers, for bytes at round numbers of their own."""
    if unit not in {"bytes", "Bps"} or top < KIB:
        return ticker.MaxNLocator(5)
    base = KIB ** int(math.log(top, KIB))
    steps = (base * size for size in (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500))
    return ticker.MultipleLocator(next((step for step in steps if top / step <= 5), base))


def moments(axes: Axes, start: float, end: float) -> None:
    """Let an axis of time go from one moment to another, with ticks at whole minutes or hours."""
    axes.set_xlim(date(start), date(end))
    minutes = (end - start) / 60
    step = next((step for step in MINUTES if minutes / step <= MOMENTS_MOST), None)
    hours = max(1, math.ceil(minutes / 60 / MOMENTS_MOST))
    every = dates.MinuteLocator(range(0, 60, step)) if step else dates.HourLocator(range(0, 24, hours))
    axes.xaxis.set_major_locator(every)
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))


def date(when: float) -> Any:
    """Return a moment as axes of time have it."""
    return dates.num2date(when / 86400)
