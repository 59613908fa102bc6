"""Draws each dashboard from recorded data, so that a reader sees it without Grafana; writes docs/pictures.

    .venv/bin/python monitoring/pictures.py

Data: tests/monitoring/recording.om.gz, of a real cluster; for GPUs, which it has none of, what neighbours measure.

Not here: the page around the pictures (docs/dashboards.md).
"""

# ruff: noqa: PLR2004 - a picture is made of sizes

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(ROOT / folder) for folder in ("e2e/recording", "tests/monitoring", "tests/support", "operator", "trainer")
]

from asked import RULES, dashboards, panels  # noqa: E402 - found where the line above says
from drawn.box import Box  # noqa: E402
from drawn.looks import COLUMNS, DPI, GAP, GROUND, INK, NAMED, PALE, UNIT, WIDTH  # noqa: E402
from drawn.scene import Scene  # noqa: E402
from neighbours import add_to_text  # noqa: E402
from replay import Replay  # noqa: E402
from samples import read  # noqa: E402

TARGET = ROOT / "docs/pictures"
RECORDED, FACTS = ROOT / "tests/monitoring/recording.om.gz", ROOT / "tests/monitoring/recording.json"


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
        Box(figure, (left, bottom, width, tallness), box, scene).draw()
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


def _life(scene: Scene) -> Scene:
    """Look at the time in which the chosen job was there."""
    job = 'namespace="$namespace", finetunejob="$finetunejob"'
    began = scene.ask(f"finetune_job_created_timestamp_seconds{{{job}}}", instant=True)[0]["value"][1]
    ended = scene.ask(f"finetune_job_finished_timestamp_seconds{{{job}}}", instant=True)[0]["value"][1]
    return replace(scene, start=max(scene.start, float(began) - 10), end=min(scene.end, float(ended) + 20))


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
