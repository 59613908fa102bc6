"""The picture of a run: loss on rows that are learnt and on rows that are held out, with checkpoints and resumptions.

Not here: the numbers (`history.py`).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT, DOTS = 8.0, 4.5, 140
"""Inches, and dots per inch."""

LEARNT, HELD_OUT, RATE, MARK = "#4878a8", "#c8553d", "#9a9a9a", "#5b8c5a"
SMOOTHED_FROM = 40
"""Steps from which the curve of single steps is shown behind its running mean."""


def loss_plot(history: Mapping[str, Sequence[Any]], title: str) -> bytes:
    """Draw the history as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _rate(axes.twinx(), history["training"])
    axes.set_zorder(1)
    axes.patch.set_visible(False)
    _learnt(axes, [each for each in history["training"] if each.get("loss") is not None])
    _held_out(axes, [each for each in history["measured"] if each.get("loss") is not None])
    _marks(axes, history)
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.grid(visible=True, axis="y", color="#e6e6e6", linewidth=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="best")
    page = io.BytesIO()
    figure.savefig(page, format="png", metadata={"Software": ""})
    return page.getvalue()


def _learnt(axes: Any, points: Sequence[Mapping[str, Any]]) -> None:
    steps, losses = [each["step"] for each in points], [each["loss"] for each in points]
    if len(points) < SMOOTHED_FROM:
        axes.plot(steps, losses, color=LEARNT, linewidth=1.8, label="training rows")
        return
    span = len(points) // 20
    means = [sum(part) / len(part) for part in (losses[max(0, n - span) : n + span + 1] for n in range(len(losses)))]
    axes.plot(steps, losses, color=LEARNT, linewidth=0.8, alpha=0.3)
    axes.plot(steps, means, color=LEARNT, linewidth=1.8, label=f"training rows, mean of {2 * span + 1} steps")


def _held_out(axes: Any, points: Sequence[Mapping[str, Any]]) -> None:
    steps, losses = [each["step"] for each in points], [each["loss"] for each in points]
    if not points:
        return
    axes.plot(steps, losses, color=HELD_OUT, linewidth=1.6, marker="o", markersize=5, label="held-out rows")
    for each, shift in ((points[0], 6), (points[-1], -6)):
        axes.annotate(
            f"{each['loss']:.3g}",
            (each["step"], each["loss"]),
            xytext=(shift, 7),
            textcoords="offset points",
            ha="left" if shift > 0 else "right",
            color=HELD_OUT,
            fontsize=9,
        )


def _marks(axes: Any, history: Mapping[str, Sequence[Any]]) -> None:
    saved = list(history["checkpoints"])
    if saved:
        floor = axes.get_xaxis_transform()
        axes.plot(saved, [0.015] * len(saved), "^", color=MARK, markersize=6, transform=floor, label="checkpoint")
    for number, step in enumerate(history["resumed"]):
        axes.axvline(step, color=MARK, linewidth=1.2, linestyle=(0, (4, 3)), label=None if number else "resumed")


def _rate(axes: Any, points: Sequence[Mapping[str, Any]]) -> None:
    known = [(each["step"], each["learningRate"]) for each in points if each.get("learningRate") is not None]
    if not known:
        axes.set_visible(False)
        return
    axes.plot(*zip(*known, strict=True), color=RATE, linewidth=1.0, linestyle=":")
    axes.set_ylabel("learning rate (dotted)", color=RATE, fontsize=9)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2), useMathText=True)
    axes.tick_params(axis="y", colors=RATE, labelsize=8)
    axes.yaxis.get_offset_text().set(color=RATE, fontsize=8)
    axes.set_ylim(bottom=0)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
