# ruff: noqa: INP001, T201, S603
"""Measure how good each task gets on held-out rows, one process per case.

    python bench/trainer/tasks.py SAMPLES_DIR [case ...]

Each case carries out the settings of an example, or a variant of it, on the whole data set.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import memory
from memory import MINILM, PHI3, T5, Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A case with the steps and the rate that it is taught with."""

    case: Case
    steps: int
    rate: float


def lesson(task: str, model: str, method: str, **how: Any) -> Lesson:
    """Shorten the table below."""
    case = Case(model=model, task=task, method=method, batch=how["batch"], length=how["length"])
    return Lesson(case=case, steps=how["steps"], rate=how["rate"])


LESSONS = (
    lesson("text-classification", MINILM, "lora", batch=32, length=64, steps=100, rate=1e-3),
    lesson("token-classification", MINILM, "full", batch=16, length=64, steps=60, rate=3e-4),
    lesson("token-classification", MINILM, "lora", batch=16, length=64, steps=300, rate=3e-3),
    lesson("question-answering", MINILM, "full", batch=16, length=128, steps=40, rate=2e-4),
    lesson("question-answering", MINILM, "lora", batch=16, length=128, steps=100, rate=2e-3),
    lesson("question-answering", PHI3, "lora", batch=16, length=128, steps=60, rate=5e-3),
    lesson("translation", T5, "full", batch=32, length=64, steps=300, rate=3e-3),
    lesson("translation", PHI3, "full", batch=32, length=64, steps=100, rate=1e-3),
    lesson("preference", PHI3, "lora", batch=8, length=128, steps=40, rate=2e-3),
    lesson("preference", PHI3, "full", batch=8, length=128, steps=40, rate=2e-4),
)


def main() -> None:
    """Run the lessons and print a Markdown table row for each as it comes."""
    samples, wanted = Path(sys.argv[1]), sys.argv[2:]
    print("| case | steps | before | after | training s | peak MiB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for each in LESSONS:
        if not wanted or any(word in each.case.name for word in wanted):
            print(_taught(each, samples), flush=True)


def _taught(each: Lesson, samples: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        run = memory.run_of(each.case, samples, Path(folder))
        run["dataset"]["path"] = str(samples / "datasets" / memory.DATASETS[each.case.task])
        run["training"] |= {"maxSteps": each.steps, "learningRate": each.rate}
        file = Path(folder) / "run.json"
        file.write_text(json.dumps(run), encoding="utf-8")
        command = [sys.executable, "-W", "ignore", "-m", "finetune_trainer", str(file)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(memory.TRAINER)}
        )
        if done.returncode:
            return f"| {each.case.name} | failed: {(done.stdout + done.stderr).strip().splitlines()[-1]} |"
        report = json.loads((Path(folder) / "output" / "report.json").read_text(encoding="utf-8"))
    before, after = (_shown(report[when]) for when in ("metricsBefore", "metricsAfter"))
    peak = round(report["peakMemoryBytes"] / 2**20)
    return f"| {each.case.name} | {each.steps} | {before} | {after} | {report['trainSeconds']} | {peak} |"


def _shown(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value}" for name, value in metrics.items())


if __name__ == "__main__":
    main()
