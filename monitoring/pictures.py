"""Draws each dashboard from recorded data, so that a reader sees it without Grafana; writes docs/pictures.

    .venv/bin/python monitoring/pictures.py

Data: tests/monitoring/recording.om.gz, of a real cluster; for GPUs, which it has none of, what neighbours measure.

Not here: the page around the pictures (docs/dashboards.md).
"""

# ruff: noqa: PLR2004 - a picture is made of sizes

from __future__ import annotations

import json
import math
import pathlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
from matplotlib import dates, patches, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(ROOT / folder) for folder in ("e2e/recording", "tests/monitoring", "tests/support", "operator", "trainer")
]

from asked import RULES, dashboards, filled, panels  # noqa: E402 - found where the line above says
from neighbours import add_to_text  # noqa: E402
from replay import Replay  # noqa: E402
from samples import read  # noqa: E402

TARGET = ROOT / "docs/pictures"
RECORDED, FACTS = ROOT / "tests/monitoring/recording.om.gz", ROOT / "tests/monitoring/recording.json"
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
LEGEND_MOST, ROWS_MOST, CELL_MOST = 6, 7, 26
SKIPPED = {"Time", "__name__", "job", "instance", "endpoint", "service", "container"}


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


def readable(value: float, unit: str) -> str:
    """Write a number as Grafana would."""
    if not math.isfinite(value):
        return "-"
    if unit == "s":
        return _time(value)
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


def _time(seconds: float) -> str:
    size = abs(seconds)
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if size >= unit:
            return f"{seconds / unit:.3g} {name}"
    return "0 s" if size == 0 else f"{1000 * seconds:.3g} ms"


def _scaled(value: float, base: int, names: tuple[str, ...]) -> str:
    power = min(int(math.log(abs(value), base)), len(names) - 1) if abs(value) >= 1 else 0
    return f"{value / base**power:.3g} {names[power]}"


def draw(dashboard: Mapping[str, Any], scene: Scene) -> Figure:
    """Return the picture of a dashboard."""
    boxes = list(_open(dashboard))
    height = max(box["gridPos"]["y"] + box["gridPos"]["h"] for box in boxes)
    tall = height * UNIT + 0.7
    figure = Figure(figsize=(WIDTH, tall), dpi=DPI, facecolor=GROUND)
    figure.text(0.008, 1 - 0.28 / tall, dashboard["title"], fontsize=15, fontweight="bold", color=INK, va="center")
    chosen = "   ".join(f"{name}: {value}" for name, value in scene.values.items() if value != ".*")
    figure.text(0.992, 1 - 0.28 / tall, chosen, fontsize=10, color=PALE, va="center", ha="right")
    scene = replace(scene, marks=_marks(dashboard, scene))
    for box in boxes:
        place = box["gridPos"]
        left, width = place["x"] / COLUMNS + GAP / WIDTH / 2, place["w"] / COLUMNS - GAP / WIDTH
        bottom = 1 - (0.6 + (place["y"] + place["h"]) * UNIT) / tall
        tallness = (place["h"] * UNIT - GAP) / tall
        if box["type"] == "row":
            figure.text(
                left + 0.004,
                bottom + tallness / 2,
                box["title"],
                fontsize=11,
                fontweight="bold",
                color=INK,
                va="center",
            )
            continue
        _Box(figure, (left, bottom, width, tallness), box, scene).draw()
    return figure


def _open(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield rows and panels as they are when the dashboard is opened: closed rows show their heading only."""
    yield from dashboard["panels"]


def _marks(dashboard: Mapping[str, Any], scene: Scene) -> tuple[tuple[float, str], ...]:
    """Return the moments that are marked, each once, with their colours."""
    found: list[tuple[float, str]] = []
    for mark in dashboard["annotations"]["list"]:
        for series in scene.ask(mark["expr"]):
            times = [when for when, _value in series["values"]]
            starts = [when for index, when in enumerate(times) if not index or when - times[index - 1] > 60]
            found += [(when, NAMED[mark["iconColor"]]) for when in starts]
    return tuple(found)


class _Box:
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
                times.append(_date(before + self.scene.step))
                values.append(math.nan)
            times.append(_date(when))
            values.append(float(value))
            before = when
        return times, values

    def _stack(self, axes: Axes, series: list[tuple[str, Any]], many: list[float], *, bars: bool) -> None:
        rows = [dict(one["values"]) for _name, one in series]
        layers = [
            [max(0.0, float(row.get(when, 0) or 0)) if row.get(when) != "NaN" else 0.0 for when in many] for row in rows
        ]
        moments, names = [_date(when) for when in many], [name for name, _one in series]
        colours = [self._colour_of(name, number) for number, name in enumerate(names)]
        if not bars:
            axes.stackplot(moments, layers, colors=colours, labels=names, alpha=0.75, linewidth=0)
            return
        base = [0.0] * len(many)
        for number, (name, layer) in enumerate(zip(names, layers, strict=True)):
            width = self.scene.step / 86400
            axes.bar(moments, layer, width=width, bottom=base, color=colours[number], label=name, alpha=0.8)
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
        axes.set_xlim(_date(self.scene.start), _date(self.scene.end))
        axes.grid(axis="y", color=FRAME, linewidth=0.5)
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _at: readable(value, self.unit)))
        if axes.get_yscale() == "linear":
            axes.yaxis.set_major_locator(_locator(axes.get_ylim()[1], self.unit))
        axes.xaxis.set_major_locator(dates.AutoDateLocator(maxticks=6))
        axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
        for when, colour in self.scene.marks:
            axes.axvline(_date(when), color=colour, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
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
            [_date(when) for when in many],
            range(len(cells)),
            shown,
            cmap="Blues",
            vmin=-0.15 * top,
            vmax=top,
            shading="nearest",
        )
        axes.set_yticks(
            range(len(bounds)), [_time(bound) if math.isfinite(bound) else "more" for bound, _one in bounds]
        )
        axes.tick_params(axis="y", labelsize=6.5)
        axes.set_xlim(_date(self.scene.start), _date(self.scene.end))
        axes.xaxis.set_major_locator(dates.AutoDateLocator(maxticks=6))
        axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))

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


def _locator(top: float, unit: str) -> ticker.Locator:
    """Return ticks at round numbers, for bytes at round numbers of their own."""
    if unit not in {"bytes", "Bps"} or top < KIB:
        return ticker.MaxNLocator(5)
    base = KIB ** int(math.log(top, KIB))
    steps = (base * size for size in (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500))
    return ticker.MultipleLocator(next((step for step in steps if top / step <= 5), base))


def _life(scene: Scene) -> Scene:
    """Look at the time in which the chosen job was there."""
    job = 'namespace="$namespace", finetunejob="$finetunejob"'
    began = scene.ask(f"finetune_job_created_timestamp_seconds{{{job}}}", instant=True)[0]["value"][1]
    ended = scene.ask(f"finetune_job_finished_timestamp_seconds{{{job}}}", instant=True)[0]["value"][1]
    return replace(scene, start=max(scene.start, float(began) - 10), end=min(scene.end, float(ended) + 20))


def _date(when: float) -> Any:
    return dates.num2date(when / 86400)


def main() -> int:
    """Draw all."""
    mpl.rcParams["font.family"] = "DejaVu Sans"
    if not RECORDED.exists():
        return _rehearsed()
    facts = json.loads(FACTS.read_text("utf-8"))
    text = add_to_text(read(RECORDED), broken=f"{facts['jobs']['hungry']}-", idle=f"{facts['jobs']['chat']}-")
    with Replay(text, (RULES / "recording.yaml",), (facts["start"], facts["end"])) as prometheus:
        write(prometheus, facts, 5)
    return 0


def _rehearsed() -> int:
    """Draw what the tests rehearse, as long as nothing is recorded."""
    from rehearsal import SECONDS, START, STEP, TEAM, rehearse

    sys.stdout.write("pictures: nothing is recorded yet (e2e/recording records); these are of the rehearsal\n")
    facts = {"namespace": TEAM, "jobs": {"hungry": "hungry"}, "start": START, "end": START + SECONDS}
    text = "".join(rehearse().openmetrics())
    with Replay(text, (RULES / "recording.yaml",), (START, START + SECONDS), STEP) as prometheus:
        write(prometheus, facts, STEP)
    return 0


def write(prometheus: Replay, facts: Mapping[str, Any], step: int, target: pathlib.Path = TARGET) -> None:
    """Draw every dashboard of a Prometheus."""
    target.mkdir(parents=True, exist_ok=True)
    choices = {"namespace": facts["namespace"], "finetunejob": facts["jobs"]["hungry"]}
    used = {"finetune-job": choices, "finetune-fleet": {}, "finetune-operator-health": {}}
    for uid, dashboard in dashboards().items():
        scene = Scene(prometheus, facts["start"], facts["end"], step, used[uid])
        scene = _life(scene) if used[uid] else scene
        draw(dashboard, scene).savefig(target / f"{uid}.png", metadata={"Software": ""})
        sys.stdout.write(f"{target / uid}.png: {sum(1 for _ in panels(dashboard))} panels\n")


if __name__ == "__main__":
    sys.exit(main())
