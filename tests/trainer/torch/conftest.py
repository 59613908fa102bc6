"""Real models and data for the tests that train: the samples, small cuts of them, and ways to carry out a run."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from finetune_trainer.contract import ExitReport, TrainerRun, from_json, to_json

REPOSITORY = Path(__file__).parents[3]
RUN_SECONDS = 180
"""Longest that one short run may take on two shared cores, imports included."""

MINILM, PHI3, T5 = "all-minilm-l6-v2", "tiny-phi3", "tiny-t5"
MODELS = {
    "text-classification": MINILM,
    "token-classification": MINILM,
    "question-answering": MINILM,
    "translation": T5,
}
DATASETS = {
    "text-classification": "reviews.jsonl",
    "chat": "python-docs-chat.jsonl",
    "causal-lm": "python-docs.jsonl",
    "token-classification": "news-names.jsonl",
    "question-answering": "python-docs-questions.jsonl",
    "translation": "django-french.jsonl",
    "preference": "python-docs-preferences.jsonl",
}

LIBRARIES = "(accelerate|bitsandbytes|datasets|dill|multiprocess|peft|torch|transformers|trl)"
THIRD_PARTY_WARNINGS = (
    *(f"ignore::{kind}:{LIBRARIES}\\..*" for kind in ("DeprecationWarning", "FutureWarning", "UserWarning")),
    "ignore:builtin type Swig.* has no __module__ attribute:DeprecationWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let libraries warn about each other; warnings of our own stay errors."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for line in THIRD_PARTY_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(line))


@pytest.fixture(scope="session", autouse=True)
def _libraries() -> None:
    """Import all optional libraries once, so that a run that hides them cannot hide them from the next test."""
    from finetune_trainer.process import environment

    environment.prepare()
    import bitsandbytes  # noqa: F401
    import trl.trainer.sft_trainer  # noqa: F401


@pytest.fixture(scope="session")
def samples() -> Path:
    """Give the samples, built first if they are missing."""
    if given := os.environ.get("FINETUNE_SAMPLES"):
        return Path(given)
    command = [sys.executable, str(REPOSITORY / "e2e" / "cluster"), "samples"]
    return Path(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip())


@pytest.fixture
def a_small_run(a_run: Callable[..., TrainerRun], samples: Path, tmp_path: Path) -> Callable[..., TrainerRun]:
    """Give a maker of runs on the samples' models and the first rows of their data."""

    def make(*, task: str = "text-classification", method: str = "lora", rows: int = 100, **changes: Any) -> TrainerRun:
        name = changes.pop("model", MODELS.get(task, PHI3))
        lines = (samples / "datasets" / DATASETS[task]).read_text(encoding="utf-8").splitlines(keepends=True)
        (tmp_path / "rows.jsonl").write_text("".join(lines[:rows]), encoding="utf-8")
        run = a_run(task=task, method=method, **changes)
        return replace(run, model=replace(run.model, name=name, path=str(samples / "models" / name)))

    return make


@pytest.fixture
def carry_out(tmp_path: Path) -> Iterator[Callable[[TrainerRun], tuple[int, ExitReport]]]:
    """Carry out a run in this process and give exit code and report."""
    from finetune_trainer.__main__ import fine_tune
    from finetune_trainer.process.attempt import carry_out

    def carry(run: TrainerRun) -> tuple[int, ExitReport]:
        file = tmp_path / "run.json"
        file.write_text(to_json(run), encoding="utf-8")
        code = carry_out(file, fine_tune)
        return code, _report(run)

    before = signal.getsignal(signal.SIGTERM)
    yield carry
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a run as a process of its own, the way a pod does, or by a launcher's arguments to Python."""
    started = []

    def begin(run: TrainerRun, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        file = tmp_path / "run.json"
        file.write_text(to_json(run), encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "trainer")}
        command = [sys.executable, *launcher, "-m", "finetune_trainer", str(file)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def finish() -> Callable[[subprocess.Popen[str], TrainerRun], tuple[int, ExitReport]]:
    """Wait for a started run's exit code and report."""

    def wait(process: subprocess.Popen[str], run: TrainerRun) -> tuple[int, ExitReport]:
        process.communicate(timeout=RUN_SECONDS)
        return process.returncode, _report(run)

    return wait


def _report(run: TrainerRun) -> ExitReport:
    text = Path(run.reporting.termination_log).read_text(encoding="utf-8")
    whole = json.loads((Path(run.output.directory) / "report.json").read_text(encoding="utf-8"))
    assert json.loads(text).items() <= whole.items()
    return from_json(ExitReport, text)
