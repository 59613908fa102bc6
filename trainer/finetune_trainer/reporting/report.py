"""The report of a run, `report.json`, whole: what was asked, what came of it, on which data, with which libraries.

Not here: what the kubelet keeps of it (`exit_report.py`), the page for people (`model_card.py`).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finetune_trainer.contract import ExitReport, TrainerRun, to_json
from finetune_trainer.reporting.journal import Journal
from finetune_trainer.reporting.loss_plot import loss_plot
from finetune_trainer.reporting.model_card import Facts, method, model_card
from finetune_trainer.sources.fetch import presentable
from finetune_trainer.training.checkpoints import digest

CARD_FILE, PLOT_FILE = "README.md", "loss.png"

LIBRARIES = (
    *("finetune-operator", "torch", "transformers", "peft", "trl", "accelerate", "datasets", "tokenizers"),
    *("safetensors", "bitsandbytes", "deepspeed", "onnx", "onnxruntime", "onnxruntime-genai"),
)


def document(run: TrainerRun, report: ExitReport, details: Mapping[str, Any]) -> str:
    """Write the report as JSON: the contract's ExitReport, the run that it answers, and what is too long for a pod."""
    asked = json.loads(to_json(presentable(run)))
    whole = json.loads(to_json(report)) | {"run": asked, **details, "versions": versions()}
    return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def pages(run: TrainerRun, journal: Journal, facts: Facts) -> dict[str, bytes]:
    """Make what lies beside and in each artifact: the card and its picture."""
    card = model_card(run, journal.report, facts)
    title = f"{run.job.name}: {method(run)} of {run.model.name}"
    return {CARD_FILE: card.encode(), PLOT_FILE: loss_plot(journal.details["history"], title)}


def source_digest(run: TrainerRun) -> dict[str, Any]:
    """Name the rows by content: the file's sha256, or that of the sorted lines `<sha256>  <file>` of a folder."""
    path = Path(run.dataset.path)
    inside = (file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    files = sorted(inside) if path.is_dir() else [path]
    lines = [f"{digest(file)}  {file.relative_to(path) if path.is_dir() else file.name}\n" for file in files]
    whole = hashlib.sha256("".join(lines).encode()).hexdigest() if path.is_dir() else lines[0].split(" ", 1)[0]
    return {
        "name": path.name,
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "sha256": whole,
    }


def versions() -> dict[str, str]:
    """Give the versions of what is installed here."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
