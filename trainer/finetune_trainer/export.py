"""The artifacts: what the run delivers, each written whole and then renamed into place.

Not here: checkpoints (`training/checkpoints.py`), the report (`reporting/exit_report.py`).
"""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from finetune_trainer import models
from finetune_trainer.adapters.attaching import TASK_TYPES
from finetune_trainer.attempt import Attempt
from finetune_trainer.contract import Artifact, TrainerRun
from finetune_trainer.reporting.model_card import model_card
from finetune_trainer.training.checkpoints import digest

ADAPTER, MERGED = "adapter", "merged"
WHOLE_MODEL_FOLDER = "model"
"""Where full fine-tuning puts its model when only an adapter was asked for, which it does not have."""

MERGE_NOTE = "merged: the adapter was added to unquantized weights, so its numbers differ slightly from those measured"


def export(model: Any, tokenizer: Any, attempt: Attempt) -> None:
    """Write the artifacts that were asked for, copy them, and enter them into the report."""
    run = attempt.run
    output = Path(run.output.directory)
    output.mkdir(parents=True, exist_ok=True)
    card = model_card(run, attempt.journal.report)
    names: list[tuple[str, str]] = []
    if run.technique.method == "full":
        folder = MERGED if MERGED in run.output.formats else WHOLE_MODEL_FOLDER
        _deliver(output / folder, lambda target: _save(model, tokenizer, target, card))
        names.append((MERGED, folder))
    else:
        if ADAPTER in run.output.formats:
            _deliver(output / ADAPTER, lambda target: _save_adapter(model, tokenizer, target, (run, card)))
            names.append((ADAPTER, ADAPTER))
        if MERGED in run.output.formats:
            _deliver(output / MERGED, lambda target: _save(_merge(model, attempt), tokenizer, target, card))
            names.append((MERGED, MERGED))
    attempt.journal.note(artifacts=tuple(_artifact(kind, output, name) for kind, name in names))
    for copy in run.output.copies:
        for _kind, name in names:
            _deliver(Path(copy) / name, lambda target, name=name: shutil.copytree(output / name, target))


def _deliver(target: Path, write: Any) -> None:
    """Write beside the target and swap, so that a rerun that fails midway leaves the old artifact."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    old = target.with_name(f".{target.name}.old")
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        write(partial)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    print(f"wrote {target} ({size:,} bytes)")


def _save(model: Any, tokenizer: Any, target: Path, card: str) -> None:
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    (target / "README.md").write_text(card, encoding="utf-8")


def _save_adapter(model: Any, tokenizer: Any, target: Path, about: tuple[TrainerRun, str]) -> None:
    """Save adapter and trained head; the base is named as people know it, not by its path in this pod."""
    run, card = about
    # "auto" would ask the hub whether the vocabulary grew; this trainer never grows it.
    model.save_pretrained(target, save_embedding_layers=False)
    config_file = target / "adapter_config.json"
    config = json.loads(config_file.read_text(encoding="utf-8")) | {"base_model_name_or_path": run.model.name}
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
    tokenizer.save_pretrained(target)
    (target / "README.md").write_text(card, encoding="utf-8")


def _merge(model: Any, attempt: Attempt) -> Any:
    """Add the adapter to its base; quantized weights cannot take it, so they are loaded again in full precision."""
    if attempt.run.technique.quantization is None:
        return model.merge_and_unload(safe_merge=True)
    attempt.journal.note(message="; ".join(each for each in (attempt.journal.report.message, MERGE_NOTE) if each))
    return _merge_into_unquantized(model, attempt.run)


def _merge_into_unquantized(model: Any, run: TrainerRun) -> Any:
    from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

    config = model.peft_config["default"]
    state = get_peft_model_state_dict(model)
    head = next(head for head, kind in TASK_TYPES.items() if kind == config.task_type)
    fresh = models.load_weights(models.locate(run), head, dtype=run.training.precision, config=_plain_config(model))
    merged = PeftModel(fresh, config)
    set_peft_model_state_dict(merged, state)
    gc.collect()
    return merged.merge_and_unload(safe_merge=True)


def _plain_config(model: Any) -> Any:
    config = type(model.config).from_dict(model.config.to_dict())
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    return config


def _artifact(kind: str, output: Path, name: str) -> Artifact:
    folder = output / name
    lines = []
    size = 0
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        size += file.stat().st_size
        lines.append(f"{digest(file)}  {file.relative_to(folder)}\n")
    return Artifact(
        kind=kind, path=name, bytes=size, sha256=hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    )
