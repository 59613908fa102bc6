"""The tasks by name, and the objective that serves each.

Objectives are imported when they are asked for: what one needs (TRL, datasets) costs memory that another has not.

Not here: how an objective works (its own module).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from finetune_trainer.contract import TrainerRun
from finetune_trainer.heads import CAUSAL_LM, SEQUENCE_CLASSIFICATION

QUANTIZED_OPTIMIZERS = ("8bit", "bnb", "paged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The head a task needs, the module that makes its trainer, and the optional libraries that it imports."""

    head: str
    module: str
    libraries: tuple[str, ...]

    def build(self, ingredients: Any) -> Any:
        """Make the library's trainer."""
        make: Callable[[Any], Any] = importlib.import_module(self.module).build
        return make(ingredients)

    def metrics(self, raw: Mapping[str, float]) -> dict[str, float]:
        """Name the evaluation's numbers as the report does."""
        name: Callable[[Mapping[str, float]], dict[str, float]] = importlib.import_module(self.module).metrics
        return name(raw)


CLASSIFICATION = Objective(head=SEQUENCE_CLASSIFICATION, module="finetune_trainer.objectives.classify", libraries=())
LANGUAGE = Objective(head=CAUSAL_LM, module="finetune_trainer.objectives.sft", libraries=("datasets", "trl"))

OBJECTIVES: Mapping[str, Objective] = {
    "text-classification": CLASSIFICATION,
    "causal-lm": LANGUAGE,
    "chat": LANGUAGE,
    "instruction": LANGUAGE,
}

OPTIONAL_LIBRARIES = ("bitsandbytes", "datasets", "scipy", "sklearn", "trl")
"""What transformers, PEFT and accelerate import as soon as they find it."""


def find(task: str) -> Objective:
    """Give the objective of a task; `data/formats.py` has refused unknown ones by now."""
    return OBJECTIVES[task]


def unused_libraries(run: TrainerRun) -> tuple[str, ...]:
    """List the optional libraries that this run can do without."""
    used = set(find(run.task).libraries)
    if run.technique.quantization or any(word in run.training.optimizer for word in QUANTIZED_OPTIMIZERS):
        used.add("bitsandbytes")
    return tuple(name for name in OPTIONAL_LIBRARIES if name not in used)
