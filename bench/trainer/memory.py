# ruff: noqa: INP001, T201, S603
"""Measure the memory that training takes on a CPU, one process per case, for the planner's model.

    python bench/trainer/memory.py SAMPLES_DIR [case ...]

Each case runs the real recipe for a few steps. Figures of the whole process, in MiB: resident after all imports (and
how much of that is mapped libraries, which the kernel may drop), after the model is loaded, and the peak to the end.
"""

import importlib
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STEPS = 20
ROWS = 400
TRAINER = Path(__file__).parents[2] / "trainer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the table."""

    model: str
    task: str
    method: str
    batch: int
    length: int
    quantization: str = "nf4"

    @property
    def name(self) -> str:
        """Name the case for the command line."""
        bits = f"-{self.quantization}" if self.method == "qlora" else ""
        return f"{self.model}/{self.task}/{self.method}{bits}/b{self.batch}/s{self.length}"


MINILM, PHI3, T5 = "all-minilm-l6-v2", "tiny-phi3", "tiny-t5"
METHODS = ("lora", "qlora", "full")
CASES = (
    *(
        Case(model=MINILM, task="text-classification", method=method, batch=batch, length=length)
        for method in METHODS
        for batch, length in ((32, 64), (8, 64), (32, 128), (8, 128))
    ),
    Case(model=MINILM, task="text-classification", method="qlora", batch=32, length=64, quantization="int8"),
    *(
        Case(model=PHI3, task=task, method=method, batch=batch, length=length)
        for task in ("chat", "causal-lm")
        for method in METHODS
        for batch, length in ((8, 128), (32, 128), (8, 64), (32, 64))
    ),
    *(
        Case(model=model, task=task, method=method, batch=batch, length=128)
        for model, task in (
            (MINILM, "token-classification"),
            (MINILM, "question-answering"),
            (PHI3, "question-answering"),
            (T5, "translation"),
            (PHI3, "preference"),
        )
        for method in ("lora", "full")
        for batch in (8, 32)
    ),
)
DATASETS = {
    "text-classification": "reviews.jsonl",
    "chat": "python-docs-chat.jsonl",
    "causal-lm": "python-docs.jsonl",
    "question-answering": "python-docs-questions.jsonl",
    "token-classification": "news-names.jsonl",
    "translation": "django-french.jsonl",
    "preference": "python-docs-preferences.jsonl",
}


def main() -> None:
    """Run the cases and print a Markdown table row for each as it comes."""
    if sys.argv[1] == "--child":
        _child(Path(sys.argv[2]))
        return
    samples, wanted = Path(sys.argv[1]), sys.argv[2:]
    print("| case | imports MiB | of it file-backed | model loaded MiB | peak MiB | training s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        if not wanted or any(word in case.name for word in wanted):
            _measure(case, samples)


def _measure(case: Case, samples: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run.json"
        run.write_text(json.dumps(run_of(case, samples, Path(folder))), encoding="utf-8")
        command = [sys.executable, __file__, "--child", str(run)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"| {case.name} | failed: {(done.stdout + done.stderr).strip().splitlines()[-1]} |", flush=True)
        return
    found = json.loads(done.stdout.splitlines()[-1])
    numbers = " | ".join(str(found[name]) for name in ("imports", "shared", "loaded", "peak", "seconds"))
    print(f"| {case.name} | {numbers} |", flush=True)


def run_of(case: Case, samples: Path, folder: Path) -> dict[str, Any]:
    """Make the run; the rows are the longest of the data set, so that batches are really as long as they may be."""
    rows = (samples / "datasets" / DATASETS[case.task]).read_text(encoding="utf-8").splitlines(keepends=True)
    data = folder / "rows.jsonl"
    data.write_text("".join(sorted(rows, key=len, reverse=True)[:ROWS]), encoding="utf-8")
    lora = {"rank": 8, "alpha": 16, "dropout": 0.0, "targetModules": None}
    return {
        "schemaVersion": 1,
        "job": {"namespace": "bench", "name": "memory", "uid": "bench", "attempt": 1},
        "task": case.task,
        "model": {"name": case.model, "path": str(samples / "models" / case.model), "revision": None},
        "dataset": {
            "path": str(data),
            "format": "auto",
            "columns": {},
            "validationPath": None,
            "validationFraction": 0.2,
            "maxInvalidRows": 0,
        },
        "technique": {
            "method": case.method,
            "lora": None if case.method == "full" else lora,
            "quantization": {"type": case.quantization, "doubleQuant": True} if case.method == "qlora" else None,
        },
        "training": {
            "epochs": None,
            "maxSteps": STEPS,
            "learningRate": 1e-4,
            "microBatchSize": case.batch,
            "gradientAccumulationSteps": 1,
            "sequenceLength": case.length,
            "gradientCheckpointing": False,
            "precision": "fp32",
            "optimizer": "adamw_torch",
            "scheduler": "linear",
            "warmupSteps": 0,
            "packing": False,
            "seed": 42,
        },
        "checkpoints": {"directory": str(folder / "checkpoints"), "everySteps": None, "everySeconds": None, "keep": 1},
        "output": {"directory": str(folder / "output"), "formats": ["adapter"], "copies": []},
        "evaluation": {"everySteps": None, "baseline": True},
        "reporting": {"port": 0, "terminationLog": str(folder / "termination-log")},
    }


def _child(run: Path) -> None:
    sys.path.insert(0, str(TRAINER))
    from finetune_trainer.__main__ import fine_tune
    from finetune_trainer.models.heads import family
    from finetune_trainer.objectives import registry
    from finetune_trainer.process import environment
    from finetune_trainer.process.attempt import carry_out, read_run

    environment.prepare()
    settings = read_run(run)
    objective = registry.find(settings.task, family(settings.model))
    environment.hide(registry.unused_libraries(settings, objective))
    from finetune_trainer.models import loading
    from finetune_trainer.training import loop  # noqa: F401

    importlib.import_module(objective.module)
    found = {"imports": _resident("VmRSS"), "shared": _resident("RssFile")}
    load = loading.load

    def load_and_look(*arguments: object) -> object:
        loaded = load(*arguments)
        found["loaded"] = _resident("VmRSS")
        return loaded

    loading.load = load_and_look
    code = carry_out(run, fine_tune)
    report = json.loads((run.parent / "output" / "report.json").read_text(encoding="utf-8"))
    print(json.dumps({**found, "peak": _resident("VmHWM"), "seconds": report["trainSeconds"]}))
    sys.exit(code)


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith(field))
    return round(int(kilobytes) / 1024)


if __name__ == "__main__":
    main()
