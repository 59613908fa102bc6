"""The CEL rules that look at more than one group of a spec, and those that look at what the spec was before.

They are asked at every write, also of a status. Each look at a field costs the API server a map of all its neighbours,
so that a rule begins with what decides most jobs.

Not here: rules within one group, which stand at its model.
"""

from __future__ import annotations

import typing

from finetune_operator.api.v1alpha1.model import PATH, Rule, rule
from finetune_operator.api.v1alpha1.technique import PROMPT_TYPES

CONVERSATIONS: typing.Final = ("chat", "prompt-completion", "alpaca", "sharegpt")

FORMATS: typing.Final[dict[str, tuple[str, ...]]] = {
    "chat": CONVERSATIONS,
    "instruction": CONVERSATIONS,
    "causal-lm": ("text",),
    "question-answering": CONVERSATIONS,
    "translation": CONVERSATIONS,
    "text-classification": ("classification",),
    "token-classification": ("tokens",),
    "preference": ("preference",),
}
"""Formats that a task can learn from, beside `auto`."""

ROLES: typing.Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    ("text",): ("causal-lm", "text-classification"),
    ("label",): ("text-classification",),
    ("tokens", "tags"): ("token-classification",),
    ("chosen", "rejected"): ("preference",),
    ("prompt",): ("chat", "instruction", "question-answering", "translation", "preference"),
    ("completion", "messages"): ("chat", "instruction", "question-answering", "translation"),
    ("question", "answer", "context"): ("question-answering",),
    ("source", "target"): ("translation",),
}
"""Tasks that read a column."""

_AGAIN = "delete the job and apply it again, or apply it under another name"

_GENERATED = ("loss", "perplexity", "exact-match", "bleu", "chrf", "rouge-l")
_CLASSIFIED = ("loss", "accuracy", "f1", "precision", "recall")

METRICS: typing.Final[dict[str, tuple[str, ...]]] = {
    "chat": _GENERATED,
    "instruction": _GENERATED,
    "causal-lm": ("loss", "perplexity", "accuracy"),
    "question-answering": (*_GENERATED, "f1"),
    "translation": _GENERATED,
    "text-classification": _CLASSIFIED,
    "token-classification": _CLASSIFIED,
    "preference": ("loss", "reward-accuracy", "reward-margin"),
}
"""What can be measured of a task."""

PACKING_TASKS: typing.Final = ("causal-lm", "instruction", "chat")


def between_groups() -> tuple[Rule, ...]:
    """Return the rules about what two groups of one spec say."""
    return (*_of_task(), *_of_training(), *_of_devices(), *_of_output())


def unchanged(path: str) -> Rule:
    """Return the rule at a field that stays as it was admitted."""
    return rule("self == oldSelf", f"{path}: immutable; {_AGAIN}")


def neither_comes_nor_goes(name: str, path: str) -> Rule:
    """Return the rule at the spec that a field which was left out stays so, and one that was set is not left out."""
    return rule(f"has(self.{name}) == has(oldSelf.{name})", f"{path}: immutable, set or unset; {_AGAIN}")


def over_time() -> tuple[Rule, ...]:
    """Return the rules about change, but for those of fields that never do."""
    return (
        rule(
            "!oldSelf.cancel || self.cancel",
            f"{PATH}.cancel: cannot be undone; "
            "apply the job again under another name, with model.fromJob to go on from it",
        ),
    )


def _of_task() -> tuple[Rule, ...]:
    served = _table(FORMATS)
    measured = _table(METRICS)
    return (
        rule(
            f"self.dataset.format == 'auto' || self.dataset.format in {served}[self.task]",
            f"{PATH}.dataset.format: does not serve spec.task; leave it auto, or take text for causal-lm, "
            "classification for text-classification, tokens for token-classification, preference for preference, and "
            "for the other tasks chat, prompt-completion, alpaca or sharegpt",
        ),
        *(_of_columns(roles, tasks) for roles, tasks in ROLES.items()),
        rule(
            "!has(self.evaluation) || !has(self.evaluation.metrics) || "
            f"self.evaluation.metrics.all(metric, metric in {measured}[self.task])",
            f"{PATH}.evaluation.metrics: one of them is not measured for spec.task; remove it, or remove metrics to "
            "get those usual for the task",
        ),
        rule(
            f"!has(self.evaluation) || !has(self.evaluation.best) || self.evaluation.best in {measured}[self.task]",
            f"{PATH}.evaluation.best: is not measured for spec.task; take loss, or another metric of the task",
        ),
    )


def _of_columns(roles: tuple[str, ...], tasks: tuple[str, ...]) -> Rule:
    unset = " && ".join(f"!has(self.dataset.columns.{role})" for role in roles)
    verb, it = ("is", "it") if len(roles) == 1 else ("are", "them")
    return rule(
        f"!has(self.dataset.columns) || self.task in {_words(tasks)} || ({unset})",
        f"{PATH}.dataset.columns: {_listed(roles, 'and')} {verb} read by task {_listed(tasks, 'or')} only; "
        f"remove {it} or set another task",
    )


def _of_training() -> tuple[Rule, ...]:
    return (
        rule(
            f"self.task in {_words(PACKING_TASKS)} || !has(self.training) || !self.training.packing",
            f"{PATH}.training.packing: only tasks {_listed(PACKING_TASKS, 'and')} pack; "
            "remove packing or set another task",
        ),
        rule(
            "!has(self.training) || !has(self.training.earlyStopping) || "
            "(has(self.evaluation) && has(self.evaluation.everySteps))",
            f"{PATH}.training.earlyStopping: needs measurements during training; set evaluation.everySteps or remove "
            "earlyStopping",
        ),
        rule(
            "!has(self.model.shape) || !has(self.model.shape.maxPositions) || !has(self.training) || "
            "!has(self.training.sequenceLength) || self.training.sequenceLength <= self.model.shape.maxPositions",
            f"{PATH}.training.sequenceLength: longer than the model reads, see model.shape.maxPositions; lower it",
        ),
    )


def _of_devices() -> tuple[Rule, ...]:
    per_node = "(has(self.hardware.devicesPerNode) ? self.hardware.devicesPerNode : 1)"
    nodes = "(has(self.hardware.nodes) ? self.hardware.nodes : 1)"
    micro = "(has(self.training.microBatchSize) ? self.training.microBatchSize : 1)"
    several = "(has(self.hardware.devicesPerNode) || has(self.hardware.nodes))"
    named = "has(self.hardware) && (has(self.hardware.profile) || has(self.hardware.instanceType) || "
    return (
        rule(
            f"!has(self.hardware) || !{several} || !has(self.training) || "
            f"self.training.batchSize % ({micro} * {per_node} * {nodes}) == 0",
            f"{PATH}.training.batchSize: must be a multiple of microBatchSize x devicesPerNode x nodes, since all "
            "devices share it; raise it or ask for fewer devices",
        ),
        rule(
            "!has(self.distribution) || self.distribution.strategy != 'none' || !has(self.hardware) || "
            f"{per_node} * {nodes} == 1",
            f"{PATH}.distribution.strategy: none uses one device; set strategy: auto, or devicesPerNode and nodes to 1",
        ),
        rule(
            "!has(self.training) || !has(self.training.precision) || self.training.precision != 'fp16' || "
            f"({named}(has(self.hardware.accelerator) && self.hardware.accelerator != 'cpu')))",
            f"{PATH}.training.precision: fp16 needs a GPU; set precision: bf16 or fp32, or hardware.accelerator",
        ),
    )


def _of_output() -> tuple[Rule, ...]:
    prompts = _words(PROMPT_TYPES)
    return (
        rule(
            "!has(self.output) || !has(self.output.formats) || !has(self.technique) || !has(self.technique.peft) || "
            f"!(self.technique.peft.type in {prompts}) || self.output.formats.all(format, format == 'adapter')",
            f"{PATH}.output.formats: learnt prompts cannot be merged into the model, so there is no merged or onnx; "
            "set formats: [adapter] or another technique",
        ),
    )


def _table(of_task: dict[str, tuple[str, ...]]) -> str:
    return "{" + ", ".join(f"'{task}': {_words(words)}" for task, words in of_task.items()) + "}"


def _words(words: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{word}'" for word in words) + "]"


def _listed(words: tuple[str, ...], last: str) -> str:
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1])))
