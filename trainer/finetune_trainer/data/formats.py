"""Formats: what the columns of a row mean, and the one shape per task family that they are turned into.

Which shape a task learns from: `text` and `label` (or `labels`, several at once); `text` alone; `messages`, of which
each prompt-and-answer format makes two turns; `tokens` and `tags`; `question`, `context` and `answer`; `source` and
`target`; `messages` with a `chosen` and a `rejected` answer.

Not here: how values become that (`rows.py`), reading files (`reading.py`), counting bad rows (`checks.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from finetune_trainer.contract import FailureReason
from finetune_trainer.data import rows
from finetune_trainer.data.rows import Example, Kind, RowProblem
from finetune_trainer.process.failures import TrainerFailure


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write rows: `required` and `optional` columns by role, and how to read them."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], Example]


def formats_for(task: str) -> tuple[Format, ...]:
    """List the formats that a task can learn from, in the order in which `auto` tries them."""
    if task not in FORMATS_BY_TASK:
        supported = ", ".join(sorted(FORMATS_BY_TASK))
        raise TrainerFailure(FailureReason.INVALID_RUN, f"task {task!r} is not supported by this trainer: {supported}")
    return FORMATS_BY_TASK[task]


def choose_format(wanted: str, task: str, fields: Mapping[str, Any], columns: Mapping[str, str]) -> Format:
    """Pick the format: the one that is asked for, or for `auto` the first whose columns the row has.

    Raises:
        TrainerFailure: no format fits; names the columns that exist and the way out.
    """
    candidates = formats_for(task)
    if wanted != "auto":
        candidates = tuple(each for each in candidates if each.name == wanted and each not in KNOWN_BY_COLUMNS)
        if not candidates:
            names = ", ".join(each.name for each in formats_for(task) if each not in KNOWN_BY_COLUMNS)
            message = f"format {wanted!r} does not serve task {task!r}; use {names + ' or ' if names else ''}auto"
            raise TrainerFailure(FailureReason.DATA_INVALID, message)
    for each in candidates:
        if all(columns.get(role, role) in fields for role in each.required):
            return each
    raise TrainerFailure(FailureReason.DATA_INVALID, _no_format(candidates, fields, columns))


def read_example(chosen: Format, fields: Mapping[str, Any], columns: Mapping[str, str]) -> Example:
    """Turn a row into an example.

    Raises:
        RowProblem: a column is missing, empty or of the wrong type.
    """
    values: dict[str, Any] = {}
    for role in chosen.required:
        column = columns.get(role, role)
        if column not in fields:
            raise RowProblem(Kind.MISSING, f"no column {column!r}; the row has {', '.join(sorted(fields)) or 'none'}")
        values[role] = fields[column]
    for role in chosen.optional:
        values[role] = fields.get(columns.get(role, role))
    return chosen.read(values)


def _no_format(candidates: tuple[Format, ...], fields: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    wanted = " or ".join("+".join(repr(columns.get(role, role)) for role in each.required) for each in candidates)
    there = ", ".join(repr(name) for name in sorted(fields)) or "none"
    missing = next(role for role in candidates[0].required if columns.get(role, role) not in fields)
    return (
        f"needs the column(s) {wanted}; the columns are {there}. Rename them, or say which is which in "
        f"spec.dataset.columns, for example {missing}: {next(iter(sorted(fields)), 'name')}"
    )


CLASSIFICATION = Format("classification", ("text", "label"), (), rows.classification)
TEXT = Format("text", ("text",), (), rows.plain)
CHAT = Format("chat", ("messages",), (), rows.chat)
PROMPT_COMPLETION = Format("prompt-completion", ("prompt", "completion"), (), rows.prompt_completion)
ALPACA = Format("alpaca", ("instruction", "output"), ("input",), rows.alpaca)
SHAREGPT = Format("sharegpt", ("conversations",), (), rows.sharegpt)
TOKENS = Format("tokens", ("tokens", "tags"), (), rows.tagged)
PREFERENCE = Format("preference", ("chosen", "rejected"), ("prompt",), rows.preference)
QUESTION_ANSWERING = Format("question-answering", ("question", "answer"), ("context",), rows.answered)
TRANSLATION = Format("translation", ("source", "target"), (), rows.translated)

KNOWN_BY_COLUMNS = (QUESTION_ANSWERING, TRANSLATION)
"""Formats without a name in the API: the columns tell them."""

CONVERSATIONS = (CHAT, PROMPT_COMPLETION, ALPACA, SHAREGPT)

FORMATS_BY_TASK: Mapping[str, tuple[Format, ...]] = {
    "text-classification": (CLASSIFICATION,),
    "token-classification": (TOKENS,),
    "question-answering": (QUESTION_ANSWERING, *CONVERSATIONS),
    "translation": (TRANSLATION, *CONVERSATIONS),
    "preference": (PREFERENCE,),
    "causal-lm": (TEXT,),
    "chat": CONVERSATIONS,
    "instruction": (PROMPT_COMPLETION, ALPACA, CHAT, SHAREGPT),
}
