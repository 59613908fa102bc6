"""Formats: what the columns of a row mean, and the one shape per task family that they are turned into.

Classification wants `text` and `label`; plain language modelling wants `text`; a conversation wants `messages`, and
each of the prompt-and-answer formats is a conversation of two turns.

Not here: reading files (`reading.py`), counting bad rows (`checks.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from finetune_trainer.contract import FailureReason
from finetune_trainer.failures import TrainerFailure

ROLES = ("system", "user", "assistant")
SHAREGPT_ROLES: Mapping[str, str] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}

Example = dict[str, Any]


class RowProblem(ValueError):
    """What is wrong with a row, without its number."""


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
        candidates = tuple(each for each in candidates if each.name == wanted)
        if not candidates:
            names = ", ".join(each.name for each in formats_for(task))
            message = f"format {wanted!r} does not serve task {task!r}; use {names} or auto"
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
            raise RowProblem(f"no column {column!r}; the row has {', '.join(sorted(fields)) or 'none'}")
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


def _classification(values: Mapping[str, Any]) -> Example:
    label = values["label"]
    if label is None or (isinstance(label, str) and not label.strip()):
        raise RowProblem("label is empty")
    if not isinstance(label, str | int | bool):
        raise RowProblem(f"label must be a string or a whole number, this is {type(label).__name__}")
    return {"text": _text(values["text"], "text"), "label": str(label).strip()}


def _plain(values: Mapping[str, Any]) -> Example:
    return {"text": _text(values["text"], "text")}


def _prompt_completion(values: Mapping[str, Any]) -> Example:
    return _turns(_text(values["prompt"], "prompt"), _text(values["completion"], "completion"))


def _alpaca(values: Mapping[str, Any]) -> Example:
    prompt = _text(values["instruction"], "instruction")
    if values["input"]:
        prompt += "\n\n" + _text(values["input"], "input")
    return _turns(prompt, _text(values["output"], "output"))


def _chat(values: Mapping[str, Any]) -> Example:
    messages = _list(values["messages"], "messages")
    return {"messages": _checked([_message(each, "role", "content", number) for number, each in messages])}


def _sharegpt(values: Mapping[str, Any]) -> Example:
    messages = [_message(each, "from", "value", n) for n, each in _list(values["conversations"], "conversations")]
    renamed = [{**each, "role": SHAREGPT_ROLES.get(each["role"], each["role"])} for each in messages]
    return {"messages": _checked(renamed)}


def _turns(prompt: str, completion: str) -> Example:
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]}


def _list(value: Any, column: str) -> list[tuple[int, Any]]:
    if not isinstance(value, list):
        raise RowProblem(f"{column} must be an array, this is {type(value).__name__}")
    if not value:
        raise RowProblem(f"{column} is empty")
    return list(enumerate(value, start=1))


def _message(value: Any, role: str, content: str, number: int) -> dict[str, str]:
    if not isinstance(value, dict) or role not in value or content not in value:
        raise RowProblem(f"message {number} must be an object with {role!r} and {content!r}")
    return {"role": str(value[role]), "content": _text(value[content], f"{content} of message {number}")}


def _checked(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Check roles and order, because chat templates drop an unknown role without a word."""
    for number, message in enumerate(messages, start=1):
        role = message["role"]
        if role not in ROLES:
            raise RowProblem(f"message {number} has the unknown role {role!r}; known are {', '.join(ROLES)}")
        if role == "system" and number > 1:
            raise RowProblem(f"message {number} is a system message; it may only be the first")
    turns = [message["role"] for message in messages if message["role"] != "system"]
    if "assistant" not in turns:
        raise RowProblem("no assistant message, so there is nothing to learn")
    if turns[0] != "user":
        raise RowProblem("the first message after the system message must be the user's")
    for number, (before, after) in enumerate(itertools.pairwise(turns), start=2):
        if before == after:
            raise RowProblem(f"two {after} messages in a row (turn {number}); user and assistant must alternate")
    if turns[-1] != "assistant":
        raise RowProblem("the last message must be the assistant's")
    return messages


def _text(value: Any, what: str) -> str:
    if value is None:
        raise RowProblem(f"{what} is null")
    if not isinstance(value, str):
        raise RowProblem(f"{what} must be a string, this is {type(value).__name__}")
    if not value.strip():
        raise RowProblem(f"{what} is empty")
    return value


CLASSIFICATION = Format("classification", ("text", "label"), (), _classification)
TEXT = Format("text", ("text",), (), _plain)
CHAT = Format("chat", ("messages",), (), _chat)
PROMPT_COMPLETION = Format("prompt-completion", ("prompt", "completion"), (), _prompt_completion)
ALPACA = Format("alpaca", ("instruction", "output"), ("input",), _alpaca)
SHAREGPT = Format("sharegpt", ("conversations",), (), _sharegpt)

CONVERSATIONS = (CHAT, PROMPT_COMPLETION, ALPACA, SHAREGPT)

FORMATS_BY_TASK: Mapping[str, tuple[Format, ...]] = {
    "text-classification": (CLASSIFICATION,),
    "causal-lm": (TEXT,),
    "chat": CONVERSATIONS,
    "instruction": (PROMPT_COMPLETION, ALPACA, CHAT, SHAREGPT),
}
