"""The history of a run: what was logged at each step, and where it was saved and taken up again.

It lies in the library's own state, which goes into every checkpoint, so it spans all attempts.

Not here: what is shown while the run goes on (`callback.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transformers import TrainerCallback

POINTS = 1000
"""Points of a loss curve in the report; of more, every so many are kept."""

SAVED, RESUMED = "checkpoint", "resumed"
EVALUATED = "eval_"
IS_NO_METRIC = re.compile("[_/]|^entropy$|^runtime$")
"""Metrics of the API are written with dashes; libraries add speeds and averages of their own."""

NAMES = {"loss": "loss", "learning_rate": "learningRate", "grad_norm": "gradNorm"}
Point = dict[str, float | int | None]


class Historian(TrainerCallback):  # type: ignore[misc]
    """Enters into the library's log what it does not log itself."""

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Note that an attempt goes on from a checkpoint, which its own log cannot know of."""
        if state.global_step > 0:
            state.log_history += [
                {SAVED: state.global_step, "step": state.global_step},
                {RESUMED: state.global_step, "step": state.global_step},
            ]

    def on_save(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Note a checkpoint."""
        state.log_history.append({SAVED: state.global_step, "step": state.global_step})


def history(
    log: Iterable[Mapping[str, Any]], before: Mapping[str, float], delivered: int | None = None
) -> dict[str, list[Any]]:
    """Sort a log into the curve of training, the measurements, the checkpoints and the resumptions, by step.

    `before` is what was measured at step 0; `delivered` the step that the last measurement is of, if not the last one.
    """
    entries = list(log)
    training = [_named(each) for each in entries if "loss" in each]
    measured: dict[int, Point] = {0: {"step": 0, **before}} if before else {}
    for each in entries:
        numbers = {name.removeprefix(EVALUATED): value for name, value in each.items() if name.startswith(EVALUATED)}
        if numbers:
            step = each["step"] if delivered is None or each is not entries[-1] else delivered
            metrics = {name: _finite(value) for name, value in numbers.items() if not IS_NO_METRIC.search(name)}
            measured[step] = {"step": step, **metrics}
    return {
        "training": _thinned(training),
        "measured": [measured[step] for step in sorted(measured)],
        "checkpoints": sorted({each["step"] for each in entries if SAVED in each}),
        "resumed": [each["step"] for each in entries if RESUMED in each],
    }


def _named(entry: Mapping[str, Any]) -> Point:
    return {"step": entry["step"], **{ours: _finite(entry[name]) for name, ours in NAMES.items() if name in entry}}


def _finite(value: Any) -> Any:
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _thinned(points: Sequence[Point]) -> list[Point]:
    every = -(-len(points) // POINTS)
    return [point for number, point in enumerate(points) if number % every == 0 or number == len(points) - 1]
