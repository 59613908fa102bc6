# ruff: noqa: INP001, T201
"""Plan published runs again and compare: the predicted memory of each row of a table with the measured one.

    python bench/planning/published.py tests/data/published_memory.csv

The table says what was trained (model, method, rank, targets, micro-batch, length, devices), in words that pins take;
`planning/memory/software.py` says how the software computed that is named first in a row. Here is what else is known of
how a source ran, from its scripts. Nothing is fitted to a row or a source. A row that cannot be planned is told with
the reason, and the others go on. A column `model_config` may name a config.json beside the table.
"""

from __future__ import annotations

import csv
import json
import pathlib
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.planning.catalog import CatalogError, ModelShape, from_config
from finetune_operator.planning.plan import Plan, plan
from finetune_operator.planning.profiles import Profiles
from finetune_operator.runtime.commands.complaints import BadInput
from finetune_operator.runtime.commands.pins import Pins, parse

BOUNDS = (0.10, 0.15)
"""Relative errors within which predictions are counted."""

ACCUMULATION = {"qwen": 8, "litgpt": 16}
"""Micro-batches a step, where the source's scripts have more than one."""

PRECISION = {"peft-readme": "fp32"}
"""Where it is not bf16: the scripts of PEFT's README load models as transformers did then, in fp32."""

USUALLY = {"peftbench": {"rank": "32"}, "peft-readme": {"seq": "64"}}
"""What a source's runs have where a row says nothing: the rank of PEFT's benchmark; and the scripts of its README cut
tweets at 64 tokens (`max_length`)."""

MODELS = {"StableLM-3B": "stablelm-base-alpha-3b"}
"""Names of the table that are another model's by now."""

LENGTH = 512
"""Tokens, where a row says nothing."""

JOB = {
    "model": {"name": "published", "source": {"hub": {}}},
    "task": "causal-lm",
    "dataset": {"source": {"hub": {"name": "published"}}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One published run, and what is predicted for it. Bytes for each device."""

    row: Mapping[str, str]
    predicted: int
    measured: float | None
    limit: float
    terms: Mapping[str, int]

    @property
    def error(self) -> float | None:
        """Relative error of the prediction."""
        return None if self.measured is None else self.predicted / self.measured - 1

    @property
    def fits(self) -> bool:
        """Whether a plan would let it run."""
        return self.predicted <= self.limit

    @property
    def name(self) -> str:
        """What was run, in a line."""
        return named(self.row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A row that was not planned, and why."""

    row: Mapping[str, str]
    why: str

    @property
    def name(self) -> str:
        """What was run, in a line."""
        return named(self.row)


def named(row: Mapping[str, str]) -> str:
    """Say what was run, in a line."""
    words = (row["source"], row["model"], row["method"], row["quant"], f"{row['micro_batch']}x{row['seq']}")
    return " ".join(word for word in (*words, row["gpu"], f"x{row['gpus']}", row["parallel"]) if word)


def answers(table: pathlib.Path) -> list[Point | Skipped]:
    """Plan every row of a table."""
    with table.open(encoding="utf-8") as lines:
        return [answer(row, table.parent) for row in csv.DictReader(lines) if "DO NOT USE" not in (row["note"] or "")]


def points(table: pathlib.Path) -> list[Point]:
    """Return the rows of a table that could be planned."""
    return [one for one in answers(table) if isinstance(one, Point)]


def answer(row: Mapping[str, str], folder: pathlib.Path) -> Point | Skipped:
    """Plan one row."""
    try:
        fixed = replace(parse(texts(row)), shape=_shape(row, folder))
        spec = FineTuneJobSpec.model_validate(fixed.applied(JOB))
        return _planned(row, fixed, spec)
    except (BadInput, CatalogError, OSError, ValueError) as error:
        return Skipped(row=row, why=" ".join(str(error).split()))


def _planned(row: Mapping[str, str], fixed: Pins, spec: FineTuneJobSpec) -> Point | Skipped:
    found = plan(spec, fixed.offered(Profiles()), stack=fixed.stack, shape=fixed.shape)
    estimate = found.memory if isinstance(found, Plan) else found.least
    if estimate is None or found.limit_bytes is None:
        return Skipped(row=row, why="" if isinstance(found, Plan) else found.message)
    return Point(
        row=row,
        predicted=estimate.peak,
        measured=float(row["gb_per_gpu"]) * 1e9 if row["gb_per_gpu"] else None,
        limit=found.limit_bytes,
        terms=dict(estimate.terms),
    )


def texts(row: Mapping[str, str]) -> list[str]:
    """Write a row as pins, every choice fixed."""
    said = USUALLY.get(row["source"], {}) | {column: value for column, value in row.items() if value}
    adapted = not said["method"].startswith(("full", "osf"))
    fixed = {
        "software": said["source"],
        "model": MODELS.get(said["model"], said["model"]),
        "method": said["method"],
        "quantization": said.get("quant"),
        "rank": said.get("rank") if adapted and not _says_rank(said["method"]) else None,
        "targetModules": said.get("targets") if adapted else None,
        "gradientCheckpointing": said["gradient_checkpointing"],
        "microBatchSize": said.get("micro_batch", "1"),
        "gradientAccumulation": str(ACCUMULATION.get(_family(row), 1)),
        "sequenceLength": said.get("seq", str(LENGTH)),
        "precision": PRECISION.get(row["source"], "bf16"),
        "accelerator": said["gpu"],
        "devicesPerNode": said.get("gpus", "1"),
        "strategy": _strategy(row),
        "attention": "eager" if "eager" in (row["note"] or "") else None,
    }
    return [f"{name}={value}" for name, value in fixed.items() if value]


def score(found: list[Point]) -> dict[str, float]:
    """Return how well a list of points was predicted."""
    errors = [abs(one.error) for one in found if one.error is not None]
    over = [one for one in found if one.row["result"] == "oom"]
    return {
        "rows": len(errors),
        "median": statistics.median(errors),
        **{f"within {bound:.0%}": sum(error <= bound for error in errors) / len(errors) for bound in BOUNDS},
        "out of memory": len(over),
        "called fitting": sum(one.fits for one in over),
    }


def _family(row: Mapping[str, str]) -> str:
    return row["source"].split("-")[0]


def _says_rank(method: str) -> bool:
    return any(word[:1] == "r" and word[1:].isdigit() for word in method.split("-"))


def _strategy(row: Mapping[str, str]) -> str:
    asked = row["parallel"] or "none"
    return "ddp" if asked == "none" and row["gpus"] not in {"", "1"} else asked


def _shape(row: Mapping[str, str], folder: pathlib.Path) -> ModelShape | None:
    """Read the model from its own config where the row names one."""
    file = row.get("model_config")
    return from_config(json.loads((folder / file).read_text("utf-8")), name=row["model"]) if file else None


def main() -> None:
    """Print every row and the score, over all and by source."""
    every = answers(pathlib.Path(sys.argv[1]))
    found = [one for one in every if isinstance(one, Point)]
    for one in found:
        measured = "" if one.measured is None else f"{one.measured / 1e9:7.2f} measured {one.error:+7.1%}"
        print(f"{one.name:75} {one.predicted / 1e9:7.2f} GB {measured} {one.row['result']}")
    for source in (*dict.fromkeys(one.row["source"] for one in found), None):
        chosen = [one for one in found if source in {None, one.row["source"]}]
        if any(one.error is not None for one in chosen):
            print(f"{source or 'all':14}", ", ".join(f"{name} {value:.3g}" for name, value in score(chosen).items()))
    for one in every:
        if isinstance(one, Skipped):
            print(f"skipped: {one.name}: {one.why}")


if __name__ == "__main__":
    main()
