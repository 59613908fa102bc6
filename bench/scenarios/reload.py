# ruff: noqa: INP001, T201
"""Loads what a run delivered into its base model, in this fresh process, and measures the held-out rows again.

    python bench/scenarios/reload.py RUN_FILE

The last line printed is a JSON object of metrics, after whatever libraries say.

Not here: the run itself (`running.py`).
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from finetune_trainer.contract import DistributionSettings, TrainerRun, from_json
from finetune_trainer.process import environment


def main() -> None:
    """Measure and print."""
    environment.prepare()
    print("", json.dumps(measured(Path(sys.argv[1]))), sep="\n")


def measured(file: Path) -> dict[str, float]:
    """Follow the trainer's recipe up to the measurement, with a delivered adapter or model in place of a new one."""
    run = from_json(TrainerRun, file.read_text(encoding="utf-8"))
    run = replace(run, distribution=DistributionSettings())  # one process measures what several may have made
    output = Path(run.output.directory)
    adapter = output / "adapter"
    if not adapter.is_dir():
        whole = next(folder for folder in (output / "model", output / "merged") if folder.is_dir())
        run = replace(run, model=replace(run.model, path=str(whole)))

    from finetune_trainer.data.load import load_data
    from finetune_trainer.models.heads import QUESTION_ANSWERING
    from finetune_trainer.objectives import registry as objectives

    objective = objectives.of(run)
    data = load_data(run, extractive=objective.head == QUESTION_ANSWERING)
    from finetune_trainer.models import loading
    from finetune_trainer.objectives.arguments import Ingredients

    base = loading.load(run, objective.head, data.labels)
    model = base.model
    if adapter.is_dir():
        from peft import PeftConfig, PeftModel

        # Trainers refuse 4-bit weights with nothing to train on them; PEFT refuses to train loaded prompts.
        learns = not PeftConfig.from_pretrained(adapter).is_prompt_learning
        model = PeftModel.from_pretrained(model, adapter, is_trainable=learns)
    trainer = objective.build(Ingredients(run=run, model=model, tokenizer=base.tokenizer, data=data))
    return objective.metrics(trainer.evaluate(metric_key_prefix="eval"))


if __name__ == "__main__":
    main()
