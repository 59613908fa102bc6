"""One panel of a picture: a line, a stack, a number, a table, a ranking or a heat map."""

# ruff: noqa: PLR2004 - a picture is made of sizes

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from drawn.looks import (
    COLOURS,
    FRAME,
    INK,
    NAMED,
    NOTHING,
    PALE,
    PAPER,
    WIDTH,
    date,
    duration,
    moments,
    readable,
    round_numbers,
)
from drawn.scene import Scene
from matplotlib import patches, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

LEGEND_MOST, ROWS_MOST, CELL_MOST = 6, 7, 26
SKIPPED = {"Time", "__name__", "job", "instance", "endpoint", "service", "container"}


class Box:
    """One panel of a picture."""

    def __init__(self, figure: Figure, place: tuple[float, ...], panel: dict[str, Any], scene: Scene) -> None:
        self.figure, self.place, self.panel, self.scene = figure, place, panel, scene
        self.defaults = (panel.get("fieldConfig") or {}).get("defaults") or {}
        self.unit = self.defaults.get("unit", "none")
        self.own = {
            one["matcher"]["options"]: NAMED[setting["value"]["fixedColor"]]
            for one in (panel.get("fieldConfig") or {}).get("overrides") or ()
            for setting in one["properties"]
        }
        self.flat = ((self.defaults.get("custom") or {}).get("stacking") or {}).get("mode") != "normal"
        self.inches = place[2] * WIDTH, place[3] * figure.get_figheight()

    def draw(self) -> None:
        """Draw it, or say that there is nothing to draw."""
        left, bottom, width, height = self.place
        frame = patches.FancyBboxPatch(
            (left, bottom), width, height, boxstyle="square,pad=0", facecolor=PAPER, edgecolor=FRAME, linewidth=0.8,
            transform=self.figure.transFigure, zorder=-1,
        )  # fmt: skip
        self.figure.patches.append(frame)
        if self.panel["type"] == "text":
            self._text()
            return
        top = bottom + height - 0.16 / self.figure.get_figheight()
        self.figure.text(left + 0.005, top, self.panel["title"], fontsize=9, fontweight="bold", color=INK, va="center")
        asked = [
            (target, self.scene.ask(target["expr"], instant=target["instant"])) for target in self.panel["targets"]
        ]
        series = [(self._name(target, one), one) for target, answer in asked for one in answer]
        if not series:
            self._say("no data", PALE, 10)
            return
        kinds = {"stat": self._stat, "table": self._table, "bargauge": self._ranking, "heatmap": self._heat}
        kinds.get(self.panel["type"], self._lines)(series)

    def _axes(self, left: float = 0.62, bottom: float = 0.62, top: float = 0.36) -> Axes:
        x, y, width, height = self.place
        wide, tall = self.figure.get_figwidth(), self.figure.get_figheight()
        inside = (x + left / wide, y + bottom / tall, width - (left + 0.15) / wide, height - (bottom + top) / tall)
        axes = self.figure.add_axes(inside, facecolor=PAPER)
        axes.tick_params(labelsize=7.5, colors=PALE, length=0)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(FRAME)
        return axes

    def _say(self, words: str, colour: str, size: float) -> None:
        left, bottom, width, height = self.place
        self.figure.text(
            left + width / 2, bottom + height * 0.42, words, fontsize=size, color=colour, ha="center", va="center"
        )

    def _text(self) -> None:
        left, bottom, _width, height = self.place
        words = re.sub(
            r"\$(\w+)", lambda found: self.scene.values.get(found[1], found[0]), self.panel["options"]["content"]
        )
        self.figure.text(
            left + 0.005, bottom + height / 2, words.replace("`", ""), fontsize=8, color=PALE, va="center", wrap=True
        )

    def _name(self, target: Mapping[str, Any], series: Mapping[str, Any]) -> str:
        legend = target["legendFormat"]
        if legend == "__auto":
            return ""
        return re.sub(r"\{\{(\w+)\}\}", lambda found: series["metric"].get(found[1], ""), legend)

    def _stat(self, series: list[tuple[str, Any]]) -> None:
        words = self.panel["options"]["textMode"] == "name"
        left, bottom, width, height = self.place
        if words:
            text = "\n".join(name for name, _one in series)
            size = 11 if len(text) < 34 else 9
            self.figure.text(
                left + width / 2,
                bottom + height * 0.42,
                text,
                fontsize=size,
                color=INK,
                ha="center",
                va="center",
                wrap=True,
            )
            return
        points = [(w, float(v)) for w, v in series[0][1]["values"] if math.isfinite(float(v))]
        if not points:
            self._say("no data", PALE, 10)
            return
        axes = self.figure.add_axes((left, bottom, width, height * 0.3))
        axes.axis("off")
        values = [value for _when, value in points]
        axes.fill_between(
            [when for when, _value in points], values, min(values) - 1e-9, color=COLOURS[0], alpha=0.15, linewidth=0
        )
        axes.set_ylim(min(values) - 1e-9, max(*values, min(values) + 1e-6) * 1.05 + 1e-9)
        self._say(readable(values[-1], self.unit), self._colour(values[-1]), 19 if self.inches[0] > 1.6 else 15)

    def _colour(self, value: float) -> str:
        steps = (self.defaults.get("thresholds") or {}).get("steps") or [{"color": "blue", "value": None}]
        reached = [step["color"] for step in steps if step.get("value") is None or value >= step["value"]]
        return NAMED.get(reached[-1], INK)

    def _lines(self, series: list[tuple[str, Any]]) -> None:
        custom = self.defaults.get("custom") or {}
        series = series if self.flat else [pair for pair in series if _moves(pair[1])] or series[:1]
        many = sorted({when for _name, one in series for when, _value in one["values"]})
        legend = any(name for name, _one in series)
        axes = self._axes(bottom=0.28 + (0.22 * self._legend_lines(series) if legend else 0))
        if not self.flat:
            self._stack(axes, series, many, bars=custom.get("drawStyle") == "bars")
        else:
            for number, (name, one) in enumerate(series[: len(COLOURS)]):
                times, values = self._points(one)
                colour, dot = self._colour_of(name, number), "." if len(values) < 3 else None
                axes.plot(times, values, color=colour, linewidth=1.2, label=name, marker=dot)
                if len(series) == 1 and custom.get("scaleDistribution", {}).get("type") != "log":
                    axes.fill_between(times, values, color=colour, alpha=0.08, linewidth=0)
        if (custom.get("scaleDistribution") or {}).get("type") == "log":
            axes.set_yscale("log")
            axes.yaxis.set_minor_formatter(ticker.NullFormatter())
        self._finish(axes, series if legend else [])

    def _colour_of(self, name: str, number: int) -> str:
        return self.own.get(name, COLOURS[number % len(COLOURS)])

    def _points(self, one: Mapping[str, Any]) -> tuple[list[Any], list[float]]:
        """Return times and values, with a gap where samples are missing."""
        times, values, before = [], [], None
        for when, value in one["values"]:
            if before is not None and when - before > 3 * self.scene.step:
                times.append(date(before + self.scene.step))
                values.append(math.nan)
            times.append(date(when))
            values.append(float(value))
            before = when
        return times, values

    def _stack(self, axes: Axes, series: list[tuple[str, Any]], many: list[float], *, bars: bool) -> None:
        rows = [dict(one["values"]) for _name, one in series]
        layers = [
            [max(0.0, float(row.get(when, 0) or 0)) if row.get(when) != "NaN" else 0.0 for when in many] for row in rows
        ]
        times, names = [date(when) for when in many], [name for name, _one in series]
        colours = [self._colour_of(name, number) for number, name in enumerate(names)]
        if not bars:
            axes.stackplot(times, layers, colors=colours, labels=names, alpha=0.75, linewidth=0)
            return
        base = [0.0] * len(many)
        for number, (name, layer) in enumerate(zip(names, layers, strict=True)):
            width = self.scene.step / 86400
            axes.bar(times, layer, width=width, bottom=base, color=colours[number], label=name, alpha=0.8)
            base = [low + more for low, more in zip(base, layer, strict=True)]

    def _legend_lines(self, series: list[tuple[str, Any]]) -> int:
        across = max(1, int(self.inches[0] / 2.0))
        return math.ceil(min(len(series), LEGEND_MOST) / across)

    def _finish(self, axes: Axes, series: list[tuple[str, Any]]) -> None:
        low, high = axes.get_ylim()
        if self.defaults.get("min") is not None:
            low = self.defaults["min"]
        if high - low < 1e-9 or (low == 0 and high < NOTHING and self.unit == "none"):
            high = low + 1
        axes.set_ylim(low, self.defaults.get("max", high))
        moments(axes, self.scene.start, self.scene.end)
        axes.grid(axis="y", color=FRAME, linewidth=0.5)
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _at: readable(value, self.unit)))
        bottom, top = axes.get_ylim()
        if axes.get_yscale() == "linear" or top < 10 * bottom:  # a narrow logarithmic axis may have no power of ten
            axes.yaxis.set_major_locator(round_numbers(top, self.unit))
            axes.yaxis.set_minor_locator(ticker.NullLocator())
        for when, colour in self.scene.marks:
            axes.axvline(date(when), color=colour, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        for step in (self.defaults.get("thresholds") or {}).get("steps") or ():
            if step.get("value") is not None and axes.get_ylim()[0] < step["value"] < axes.get_ylim()[1]:
                axes.axhline(step["value"], color=NAMED.get(step["color"], PALE), linewidth=0.7)
        if series:
            across = max(1, int(self.inches[0] / 2.0))
            handles, labels = axes.get_legend_handles_labels()
            below = (-0.02, -0.14 * 2.3 / self.inches[1])
            look = {"fontsize": 7, "frameon": False, "handlelength": 1, "columnspacing": 1, "borderaxespad": 0.4}
            shown = handles[:LEGEND_MOST], labels[:LEGEND_MOST]
            axes.legend(*shown, loc="upper left", bbox_to_anchor=below, ncols=across, labelcolor=INK, **look)

    def _heat(self, series: list[tuple[str, Any]]) -> None:
        bounds = sorted(((float(one["metric"]["le"]), one) for _name, one in series), key=lambda pair: pair[0])
        many = sorted({when for _bound, one in bounds for when, _value in one["values"]})
        rows = [[max(0.0, float(dict(one["values"]).get(when, 0))) for when in many] for _bound, one in bounds]
        lower = [[0.0] * len(many), *rows[:-1]]
        cells = [
            [max(0.0, up - down) for down, up in zip(low, high, strict=True)]
            for low, high in zip(lower, rows, strict=True)
        ]
        axes = self._axes(bottom=0.28)
        top = max((value for row in cells for value in row), default=1.0) or 1.0
        shown = [[value if value > 0 else math.nan for value in row] for row in cells]
        axes.pcolormesh(
            [date(when) for when in many],
            range(len(cells)),
            shown,
            cmap="Blues",
            vmin=-0.15 * top,
            vmax=top,
            shading="nearest",
        )
        axes.set_yticks(
            range(len(bounds)), [duration(bound) if math.isfinite(bound) else "more" for bound, _one in bounds]
        )
        axes.tick_params(axis="y", labelsize=6.5)
        moments(axes, self.scene.start, self.scene.end)

    def _ranking(self, series: list[tuple[str, Any]]) -> None:
        named = sorted(((float(one["value"][1]), name) for name, one in series), reverse=True)[:ROWS_MOST]
        axes = self._axes(left=1.55, bottom=0.15)
        colours = [self._colour_of(name, 0) for _value, name in named]
        axes.barh(range(len(named)), [value for value, _name in named], color=colours, alpha=0.75, height=0.55)
        axes.set_yticks(range(len(named)), [name[:24] for _value, name in named])
        axes.set_ylim(max(len(named), 3) - 0.4, -0.6)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        top = max(value for value, _name in named) or 1.0
        axes.set_xlim(0, top * 1.3)
        for row, (value, _name) in enumerate(named):
            axes.text(value + top * 0.02, row, readable(value, self.unit), fontsize=8, color=INK, va="center")

    def _table(self, series: list[tuple[str, Any]]) -> None:
        options = [one["options"] for one in self.panel["transformations"] if one["id"] == "organize"][0]  # noqa: RUF015
        most = max(1, int((self.inches[1] - 0.55) / 0.2) - 1)
        hidden = SKIPPED | {name for name, hide in options["excludeByName"].items() if hide}
        value_name = options["renameByName"]["Value"]
        first = options["indexByName"]
        labels = sorted(
            (name for name in series[0][1]["metric"] if name not in hidden),
            key=lambda name: first.get(name, len(first)),
        )
        heads = labels + ([value_name] if value_name not in hidden else [])
        rows = [
            [one["metric"].get(label, "") for label in labels]
            + ([readable(float(one["value"][1]), self.unit)] if value_name not in hidden else [])
            for _name, one in series[:most]
        ]
        sizes = [max(len(str(row[at])) for row in [heads, *rows]) + 2 for at in range(len(heads))]
        scale = min(1.0, (self.inches[0] - 0.2) / (sum(sizes) * 0.075))
        left, bottom, _width, height = self.place
        tall = self.figure.get_figheight()
        for line, row in enumerate([heads, *rows]):
            at = left + 0.005
            y = bottom + height - (0.42 + 0.2 * line) / tall
            for size, cell in zip(sizes, row, strict=True):
                text = str(cell) if len(str(cell)) <= CELL_MOST else f"{str(cell)[: CELL_MOST - 1]}…"
                self.figure.text(at, y, text, fontsize=8 * max(scale, 0.75), color=INK if line else PALE, va="center")
                at += min(size, CELL_MOST) * 0.075 * scale / WIDTH
        if len(series) > most:
            self.figure.text(
                left + 0.005,
                bottom + 0.12 / tall,
                f"and {len(series) - most} more",
                fontsize=7,
                color=PALE,
                va="center",
            )


def _moves(one: Mapping[str, Any]) -> bool:
    """Say whether a series is ever above 0: a layer that is not only fills the legend."""
    return any(float(value) > 0 for _when, value in one["values"])
