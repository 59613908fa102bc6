"""Runs and rows that the trainer's tests share."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from finetune_trainer.contract import (
    SCHEMA_VERSION,
    CheckpointSettings,
    DatasetSource,
    EvaluationSettings,
    JobIdentity,
    LoraSettings,
    ModelSource,
    OutputSettings,
    QuantizationSettings,
    ReportingSettings,
    TechniqueSettings,
    TrainerRun,
    TrainingSettings,
)

LORA = LoraSettings(rank=8, alpha=16, dropout=0.0, target_modules=None)
TECHNIQUES = {
    "full": TechniqueSettings(method="full", lora=None, quantization=None),
    "lora": TechniqueSettings(method="lora", lora=LORA, quantization=None),
    "qlora": TechniqueSettings(
        method="qlora", lora=LORA, quantization=QuantizationSettings(type="nf4", double_quant=True)
    ),
}


@pytest.fixture
def a_run(tmp_path: Path) -> Callable[..., TrainerRun]:
    """Give a maker of runs; a keyword `training__max_steps=3` changes that field, `method` picks the technique."""

    def make(*, task: str = "text-classification", method: str = "lora", **changes: Any) -> TrainerRun:
        run = TrainerRun(
            schema_version=SCHEMA_VERSION,
            job=JobIdentity(namespace="default", name="reviews", uid="uid-1", attempt=1),
            task=task,
            model=ModelSource(name="all-minilm-l6-v2", path=str(tmp_path / "no-model"), revision=None),
            dataset=DatasetSource(
                path=str(tmp_path / "rows.jsonl"),
                format="auto",
                columns={},
                validation_path=None,
                validation_fraction=0.2,
                max_invalid_rows=0,
            ),
            technique=TECHNIQUES[method],
            training=TrainingSettings(
                epochs=None,
                max_steps=4,
                learning_rate=1e-3,
                micro_batch_size=8,
                gradient_accumulation_steps=1,
                sequence_length=64,
                gradient_checkpointing=False,
                precision="fp32",
                optimizer="adamw_torch",
                scheduler="linear",
                warmup_steps=0,
                packing=False,
                seed=42,
            ),
            checkpoints=CheckpointSettings(
                directory=str(tmp_path / "checkpoints"), every_steps=2, every_seconds=None, keep=2
            ),
            output=OutputSettings(directory=str(tmp_path / "output"), formats=("adapter",), copies=()),
            evaluation=EvaluationSettings(every_steps=None, baseline=True),
            reporting=ReportingSettings(port=0, termination_log=str(tmp_path / "termination-log")),
        )
        for path, value in changes.items():
            part, name = path.split("__")
            run = replace(run, **{part: replace(getattr(run, part), **{name: value})})
        return run

    return make


@pytest.fixture
def rows_file(tmp_path: Path) -> Callable[..., Path]:
    """Give a writer of JSON Lines files; a string is written as it stands."""

    def write(*rows: dict[str, Any] | str, name: str = "rows.jsonl") -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return file

    return write
