# ruff: noqa: INP001, T201
"""Compares the planner's predictions with the counted steps: in percent, a line for each kind of step.

    PYTHONPATH=operator:trainer:tests/fake .venv/bin/python bench/planning/score.py [word ...]

Only lines with all the words are printed. A plus is a prediction above the count. Adapters beside frozen fp32 weights
are left out: the trainer keeps frozen weights in 16 bits.

Not here: counting (`tests/fake/measure.py`).
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from case import Case, rows
from planner import predicted

COUNTED = Path(__file__).parents[2] / "tests/data/fake_memory.csv"
CLOSE = 5.0


def main(words: list[str]) -> None:
    """Print the errors, and how many are close."""
    kinds: dict[str, list[str]] = {}
    errors: list[float] = []
    for case, measured in rows(COUNTED):
        if all(word in kind(case).split() for word in words) and can_be_planned(case):
            error = 100 * (predicted(case) / measured.peak_bytes - 1)
            errors.append(error)
            kinds.setdefault(kind(case), []).append(f"{case.micro_batch}x{case.seq}:{error:+.1f}")
    for name, texts in kinds.items():
        print(name, *texts)
    sizes = [abs(error) for error in errors]
    close = sum(size <= CLOSE for size in sizes)
    print(f"{len(sizes)} steps: median {statistics.median(sizes):.1f} %, within {CLOSE:.0f} %: {close}")
    print(f"lowest {min(errors):+.1f} %, highest {max(errors):+.1f} %")


def can_be_planned(case: Case) -> bool:
    """Tell whether a job can ask for the step."""
    return case.method == "full" or (case.precision != "mixed" and case.quant != "nf4-prepared")


def kind(case: Case) -> str:
    """Name a kind of step."""
    kept = "checkpointed" if case.checkpointing else "kept"
    method = f"{case.method} {case.targets} r{case.rank} {case.adapter_dtype} {case.quant or '-'}"
    rest = f"{case.attention} {case.loss} {case.precision} {case.optimizer} x{case.accumulation}"
    return f"{case.model} {method} {kept} {rest}"


if __name__ == "__main__":
    main(sys.argv[1:])
