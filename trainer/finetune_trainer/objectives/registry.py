"""The tasks by name, and the objective that serves each, which may depend on the family of the model.

Objectives are imported when they are asked for: what one needs (TRL, datasets) costs memory that another has not.

Not here: how an objective works (its own module).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from finetune_trainer.contract import FailureReason, TrainerRun
from finetune_trainer.models import heads
from finetune_trainer.models.heads import Family
from finetune_trainer.objectives import measures
from finetune_trainer.process.failures import TrainerFailure

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
        return measures.named(raw)


def _objective(head: str, module: str, *libraries: str) -> Objective:
    return Objective(head=head, module=f"finetune_trainer.objectives.{module}", libraries=libraries)


CLASSIFICATION = _objective(heads.SEQUENCE_CLASSIFICATION, "classify")
TAGGING = _objective(heads.TOKEN_CLASSIFICATION, "tag")
POINTING = _objective(heads.QUESTION_ANSWERING, "point")
LANGUAGE = _objective(heads.CAUSAL_LM, "sft", "datasets", "trl")
REWRITING = _objective(heads.SEQUENCE_TO_SEQUENCE, "rewrite")
PREFERENCE = _objective(heads.CAUSAL_LM, "prefer", "datasets", "trl")

READING_BOTH_WAYS = (Family.ENCODER, Family.DECODER)
OBJECTIVES: Mapping[str, Mapping[Family, Objective]] = {
    "text-classification": dict.fromkeys(READING_BOTH_WAYS, CLASSIFICATION),
    "token-classification": dict.fromkeys(READING_BOTH_WAYS, TAGGING),
    "question-answering": {
        Family.ENCODER: POINTING,
        Family.DECODER: LANGUAGE,
        Family.ENCODER_DECODER: REWRITING,
    },
    "translation": {Family.ENCODER_DECODER: REWRITING, Family.DECODER: LANGUAGE},
    "instruction": {Family.DECODER: LANGUAGE, Family.ENCODER_DECODER: REWRITING},
    "chat": {Family.DECODER: LANGUAGE},
    "causal-lm": {Family.DECODER: LANGUAGE},
    "preference": {Family.DECODER: PREFERENCE},
}

OPTIONAL_LIBRARIES = ("bitsandbytes", "datasets", "deepspeed", "scipy", "sklearn", "trl")
"""What transformers, PEFT and accelerate import as soon as they find it."""


def of(run: TrainerRun) -> Objective:
    """Give the objective of a run, whose metrics are among those that it can measure.

    Raises:
        TrainerFailure: InvalidRun.
    """
    objective = find(run.task, heads.family(run.model))
    measures.chosen(run, objective.module.rpartition(".")[2])
    return objective


def find(task: str, family: Family | None) -> Objective:
    """Give the objective of a task for a family of models (None: not known, so any that serves the task).

    Raises:
        TrainerFailure: InvalidRun.
    """
    if task not in OBJECTIVES:
        message = f"task {task!r} is not supported by this trainer: {', '.join(sorted(OBJECTIVES))}"
        raise TrainerFailure(FailureReason.INVALID_RUN, message)
    choices = OBJECTIVES[task]
    if family is None:
        return next(iter(choices.values()))
    if family not in choices:
        message = f"task {task} cannot be learnt by a model that is an {family.value}; take an {' or '.join(choices)}"
        raise TrainerFailure(FailureReason.INVALID_RUN, message.replace("an d", "a d"))
    return choices[family]


def unused_libraries(run: TrainerRun, objective: Objective) -> tuple[str, ...]:
    """List the optional libraries that this run can do without."""
    used = set(objective.libraries)
    if run.technique.quantization or any(word in run.training.optimizer for word in QUANTIZED_OPTIMIZERS):
        used.add("bitsandbytes")
    if run.distribution.strategy == "deepspeed":
        used.add("deepspeed")
    return tuple(name for name in OPTIONAL_LIBRARIES if name not in used)
