"""The artifacts: the adapter, the merged model and its ONNX form, each compared with the model that was measured.

Not here: how they come into place (`delivery.py`), checkpoints (`training/checkpoints.py`).
"""

from __future__ import annotations

import gc
import json
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_trainer.contract import FailureReason
from finetune_trainer.export import comparison, merging, onnx_decoders, onnx_heads
from finetune_trainer.export.comparison import Difference
from finetune_trainer.export.delivery import Delivery
from finetune_trainer.export.formats import ADAPTER, MERGED, ONNX
from finetune_trainer.models import loading, text_part
from finetune_trainer.objectives.batches import Batch, writes
from finetune_trainer.process.attempt import Attempt
from finetune_trainer.process.failures import TrainerFailure
from finetune_trainer.reporting import report
from finetune_trainer.reporting.history import history
from finetune_trainer.reporting.model_card import Facts

WHOLE_MODEL_FOLDER = "model"
"""Where full fine-tuning puts its model when only an adapter was asked for, which it does not have."""

LARGEST_DIFFERENCE = {onnx_decoders.FULL: 1e-3, onnx_decoders.FOUR_BITS: 0.5}
"""How far ONNX Runtime's logits may be from torch's, as a part of the largest logit. Measured: 1e-6 in fp32; 4-bit
weights moved them by 0.04."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What artifacts are made of: the trained model with its tokenizer, and rows to compare answers on."""

    trainer: Any
    tokenizer: Any
    attempt: Attempt
    delivery: Delivery
    rows: list[Batch]
    model_class: str


def export(trainer: Any, tokenizer: Any, attempt: Attempt) -> None:
    """Make what was asked for, put it into place with its card, and enter it into the report.

    Raises:
        TrainerFailure: an ONNX model could not be built or answers differently; what else was made is delivered.
    """
    delivery = Delivery(Path(attempt.run.output.directory))
    rows = comparison.held_out(trainer)
    _free_optimizer(trainer)
    source = Source(
        trainer=trainer,
        tokenizer=tokenizer,
        attempt=attempt,
        delivery=delivery,
        rows=rows,
        model_class=_class_of(trainer.model),
    )
    try:
        _write(source)
    except TrainerFailure:
        _publish(source)
        raise
    _publish(source)


def _write(source: Source) -> None:
    run, delivery, model = source.attempt.run, source.delivery, source.trainer.model
    formats, name = set(run.output.formats), MERGED
    if run.technique.method == "full":
        name = MERGED if MERGED in formats else WHOLE_MODEL_FOLDER
        if formats & {ADAPTER, MERGED}:
            delivery.write(MERGED, name, lambda folder: _save(model, source, folder))
    else:
        if ADAPTER in formats:
            delivery.write(ADAPTER, ADAPTER, lambda folder: _save_adapter(model, source, folder))
        if formats & {MERGED, ONNX}:
            model, moved = _merged(source)
            if MERGED in formats:
                delivery.write(MERGED, MERGED, lambda folder: _save(model, source, folder, moved))
    if ONNX in formats:
        delivery.write(ONNX, ONNX, lambda folder: _onnx(model, source, folder, delivery.beside(name)))


def _publish(source: Source) -> None:
    run, journal, state = source.attempt.run, source.attempt.journal, source.trainer.state
    data = report.source_digest(run)
    journal.add(
        history=history(state.log_history, journal.report.metrics_before, journal.details.get("deliveredStep")),
        data=data,
    )
    journal.add(processPeakMemoryBytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    facts = Facts(
        model_class=source.model_class,
        is_inside=text_part.is_inside(loading.locate(run), source.trainer.model.config.model_type),
        data=data,
        differences={each.kind: each.logit_difference for each in source.delivery.written},
    )
    pages = report.pages(run, journal, facts)
    journal.note(artifacts=source.delivery.publish(pages, run.output.copies))


def _merged(source: Source) -> tuple[Any, float]:
    """Merge, and measure by how much that moves the answers."""
    run, journal = source.attempt.run, source.attempt.journal
    before = comparison.answers(source.trainer.model, source.rows)
    merged = merging.merge(source.trainer.model, run)
    found = comparison.difference(before, comparison.answers(merged, source.rows))
    print(f"merged: {found}")
    notes = [journal.report.message, merging.note(run, found.largest)]
    journal.note(message="; ".join(each for each in notes if each))
    return merged, found.largest


def _onnx(model: Any, source: Source, folder: Path, saved: Path) -> float:
    if writes(model) and not model.config.is_encoder_decoder:
        bits = onnx_decoders.precision(source.attempt.run.technique.quantization)
        return _agreed(_language_model(model, source, folder, (saved, bits)), bits)
    pad = model.config.get_text_config().pad_token_id or 0
    onnx_heads.write(model, source.rows, folder)
    source.tokenizer.save_pretrained(folder)
    return _agreed(
        onnx_heads.check(folder, source.rows, comparison.answers(model, source.rows), pad), onnx_decoders.FULL
    )


def _language_model(model: Any, source: Source, folder: Path, how: tuple[Path, str]) -> Difference:
    """Build from a folder, the merged model's if it is delivered; torch's model is let go before that."""
    saved, bits = how
    expected = comparison.answers(model.float(), source.rows)
    begun = saved.is_dir()
    try:
        if not begun:
            _save(model, source, saved)
        merging.release(model)
        source.attempt.journal.add(onnxBuilderPeakMemoryBytes=onnx_decoders.write(saved, folder, bits))
    finally:
        if not begun:
            shutil.rmtree(saved, ignore_errors=True)
        shutil.rmtree(folder.with_name(f"{folder.name}.cache"), ignore_errors=True)
    return onnx_decoders.check(folder, source.rows, expected)


def _agreed(found: Difference, bits: str) -> float:
    print(f"onnx in {bits}: {found}")
    if found.relative > LARGEST_DIFFERENCE[bits]:
        message = (
            f"output.formats: onnx: in {bits}, ONNX Runtime answers held-out rows otherwise than torch: {found} "
            f"of logits up to {found.scale:.3g}; set merged"
        )
        raise TrainerFailure(FailureReason.INVALID_RUN, message)
    return found.largest


def _save(model: Any, source: Source, folder: Path, moved: float | None = None) -> float | None:
    model.save_pretrained(folder)
    source.tokenizer.save_pretrained(folder)
    return moved


def _save_adapter(model: Any, source: Source, folder: Path) -> None:
    """Save adapter and trained head; the base is named as people know it, not by its path in this pod."""
    # "auto" would ask the hub whether the vocabulary grew; this trainer never grows it.
    model.save_pretrained(folder, save_embedding_layers=False)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = source.attempt.run.model.name
    file.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
    source.tokenizer.save_pretrained(folder)


def _free_optimizer(trainer: Any) -> None:
    """Let go of what only training needs, which is more than the model in full fine-tuning."""
    for parameter in trainer.model.parameters():
        parameter.grad = None
    if trainer.optimizer is not None:
        trainer.optimizer.state.clear()
    gc.collect()


def _class_of(model: Any) -> str:
    return type(model.get_base_model() if hasattr(model, "peft_config") else model).__name__
