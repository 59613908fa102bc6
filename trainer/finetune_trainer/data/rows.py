"""Rows: how the values of a row become an example, and what can be wrong with them.

What training libraries let through in silence is a problem here: an empty answer, an unknown role, an answer that is
not in its context, two equal answers to prefer between.

Not here: which columns hold the values (`formats.py`).
"""

from __future__ import annotations

import enum
import itertools
import json
from collections.abc import Mapping
from typing import Any

ROLES = ("system", "user", "assistant")
SHAREGPT_ROLES: Mapping[str, str] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}

Example = dict[str, Any]


class Kind(enum.StrEnum):
    """The kinds of problems, by which bad rows are counted."""

    UNREADABLE = "not readable"
    MISSING = "column missing"
    EMPTY = "empty"
    NULL = "null"
    WRONG_TYPE = "wrong type"
    UNKNOWN_ROLE = "unknown role"
    TURNS = "turns out of order"
    NOTHING_TO_LEARN = "nothing to learn"
    DISAGREEING = "parts that do not fit together"


class RowProblem(ValueError):
    """What is wrong with a row, without its number."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def classification(values: Mapping[str, Any]) -> Example:
    """Read a text with its label, or with a list of all labels that it has."""
    text, label = _text(values["text"], "text"), _decoded(values["label"], '["')
    if isinstance(label, list):
        return {"text": text, "labels": [_label(each, "label") for each in label]}
    return {"text": text, "label": _label(label, "label")}


def plain(values: Mapping[str, Any]) -> Example:
    """Read a text to continue."""
    return {"text": _text(values["text"], "text")}


def prompt_completion(values: Mapping[str, Any]) -> Example:
    """Read a prompt and its answer."""
    return _turns(_text(values["prompt"], "prompt"), _text(values["completion"], "completion"))


def alpaca(values: Mapping[str, Any]) -> Example:
    """Read an instruction, what it is about, and the answer."""
    prompt = _text(values["instruction"], "instruction")
    if values["input"]:
        prompt += "\n\n" + _text(values["input"], "input")
    return _turns(prompt, _text(values["output"], "output"))


def chat(values: Mapping[str, Any]) -> Example:
    """Read a conversation."""
    messages = _list(values["messages"], "messages")
    return {"messages": _checked([_message(each, "role", "content", number) for number, each in messages])}


def sharegpt(values: Mapping[str, Any]) -> Example:
    """Read a conversation in ShareGPT's words."""
    messages = [_message(each, "from", "value", n) for n, each in _list(values["conversations"], "conversations")]
    renamed = [{**each, "role": SHAREGPT_ROLES.get(each["role"], each["role"])} for each in messages]
    return {"messages": _checked(renamed)}


def tagged(values: Mapping[str, Any]) -> Example:
    """Read words and the tag of each."""
    words = [_text(each, f"token {number}") for number, each in _list(_words(values["tokens"]), "tokens")]
    tags = [_label(each, f"tag {number}") for number, each in _list(_words(values["tags"]), "tags")]
    if len(words) != len(tags):
        raise RowProblem(Kind.DISAGREEING, f"{len(words)} tokens, but {len(tags)} tags; each token needs one")
    return {"tokens": words, "tags": tags}


def answered(values: Mapping[str, Any]) -> Example:
    """Read a question, the text to answer from if there is one, and the answer: its words, or SQuAD's object."""
    context = values["context"]
    answer, start = _answer(values["answer"])
    example = {"question": _text(values["question"], "question"), "answer": answer}
    if context is None:
        return example
    return example | {"context": _text(context, "context"), "start": _found(answer, context, start)}


def translated(values: Mapping[str, Any]) -> Example:
    """Read a sentence and its translation."""
    return {"source": _text(values["source"], "source"), "target": _text(values["target"], "target")}


def preference(values: Mapping[str, Any]) -> Example:
    """Read a prompt with a better and a worse answer; as conversations, both may begin with the prompt."""
    chosen, before = _last_answer(values["chosen"], "chosen")
    rejected, also_before = _last_answer(values["rejected"], "rejected")
    if before != also_before:
        raise RowProblem(Kind.DISAGREEING, "chosen and rejected are answers to different prompts")
    if chosen.split() == rejected.split():
        raise RowProblem(Kind.NOTHING_TO_LEARN, "chosen and rejected are the same, so there is nothing to prefer")
    prompt = [*_prompt(values["prompt"]), *before]
    if not prompt:
        raise RowProblem(Kind.MISSING, "prompt is missing, and chosen does not begin with one")
    messages = _checked([*prompt, {"role": "assistant", "content": chosen}])
    return {"messages": messages[:-1], "chosen": chosen, "rejected": rejected}


def as_conversation(example: Example) -> Example:
    """Put a question or a sentence to translate as a conversation of two turns, for models that continue text."""
    if "question" in example:
        context = f"{example['context']}\n\n" if "context" in example else ""
        return _turns(context + example["question"], example["answer"])
    return _turns(example["source"], example["target"]) if "source" in example else example


def _answer(value: Any) -> tuple[str, int | None]:
    if not isinstance(value, dict):
        return _text(value, "answer"), None
    texts, starts = value.get("text"), value.get("answer_start")
    if not isinstance(texts, list) or not texts:
        raise RowProblem(Kind.EMPTY, "answer has no text; questions without an answer cannot be learnt")
    start = starts[0] if isinstance(starts, list) and starts and isinstance(starts[0], int) else None
    return _text(texts[0], "answer"), start


def _found(answer: str, context: str, start: int | None) -> int:
    """Return where the answer stands in the context, -1 where it does not: a model may still learn to write it."""
    if start is not None and context[start : start + len(answer)] != answer:
        raise RowProblem(Kind.DISAGREEING, f"the context has other words than the answer at answer_start {start}")
    return context.find(answer) if start is None else start


def _last_answer(value: Any, column: str) -> tuple[str, list[dict[str, str]]]:
    value = _decoded(value, "[{")
    if not isinstance(value, list):
        return _text(value, column), []
    messages = [_message(each, "role", "content", number) for number, each in _list(value, column)]
    if messages[-1]["role"] != "assistant":
        raise RowProblem(Kind.NOTHING_TO_LEARN, f"the last message of {column} must be the assistant's")
    return messages[-1]["content"], messages[:-1]


def _prompt(value: Any) -> list[dict[str, str]]:
    value = _decoded(value, "[{")
    if value is None:
        return []
    if not isinstance(value, list):
        return [{"role": "user", "content": _text(value, "prompt")}]
    return [_message(each, "role", "content", number) for number, each in _list(value, "prompt")]


def _label(label: Any, what: str) -> str:
    if label is None or (isinstance(label, str) and not label.strip()):
        raise RowProblem(Kind.EMPTY, f"{what} is empty")
    if not isinstance(label, str | int | bool):
        raise RowProblem(Kind.WRONG_TYPE, f"{what} must be a string or a whole number, this is {type(label).__name__}")
    return str(label).strip()


def _words(value: Any) -> Any:
    """Take a table's cell apart, which cannot hold a list: JSON, or words between spaces."""
    value = _decoded(value)
    return value.split() if isinstance(value, str) else value


def _decoded(value: Any, opening: str = "[") -> Any:
    """Read a list that a table's cell holds as JSON; text that only looks like one stays text."""
    if not isinstance(value, str) or not "".join(value[:16].split()).startswith(opening):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _turns(prompt: str, completion: str) -> Example:
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]}


def _list(value: Any, column: str) -> list[tuple[int, Any]]:
    value = _decoded(value)
    if not isinstance(value, list):
        raise RowProblem(Kind.WRONG_TYPE, f"{column} must be an array, this is {type(value).__name__}")
    if not value:
        raise RowProblem(Kind.EMPTY, f"{column} is empty")
    return list(enumerate(value, start=1))


def _message(value: Any, role: str, content: str, number: int) -> dict[str, str]:
    if not isinstance(value, dict) or role not in value or content not in value:
        raise RowProblem(Kind.WRONG_TYPE, f"message {number} must be an object with {role!r} and {content!r}")
    return {"role": str(value[role]), "content": _text(value[content], f"{content} of message {number}")}


def _checked(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Check roles and order, because chat templates drop an unknown role without a word."""
    for number, message in enumerate(messages, start=1):
        role = message["role"]
        if role not in ROLES:
            raise RowProblem(
                Kind.UNKNOWN_ROLE, f"message {number} has the unknown role {role!r}; known are {', '.join(ROLES)}"
            )
        if role == "system" and number > 1:
            raise RowProblem(Kind.TURNS, f"message {number} is a system message; it may only be the first")
    turns = [message["role"] for message in messages if message["role"] != "system"]
    if "assistant" not in turns:
        raise RowProblem(Kind.NOTHING_TO_LEARN, "no assistant message, so there is nothing to learn")
    if turns[0] != "user":
        raise RowProblem(Kind.TURNS, "the first message after the system message must be the user's")
    for number, (before, after) in enumerate(itertools.pairwise(turns), start=2):
        if before == after:
            raise RowProblem(
                Kind.TURNS, f"two {after} messages in a row (turn {number}); user and assistant must alternate"
            )
    if turns[-1] != "assistant":
        raise RowProblem(Kind.NOTHING_TO_LEARN, "the last message must be the assistant's")
    return messages


def _text(value: Any, what: str) -> str:
    if value is None:
        raise RowProblem(Kind.NULL, f"{what} is null")
    if not isinstance(value, str):
        raise RowProblem(Kind.WRONG_TYPE, f"{what} must be a string, this is {type(value).__name__}")
    if not value.strip():
        raise RowProblem(Kind.EMPTY, f"{what} is empty")
    return value
