import pytest
from finetune_trainer.contract import FailureReason
from finetune_trainer.data.formats import choose_format, formats_for, read_example
from finetune_trainer.data.rows import RowProblem, as_conversation
from finetune_trainer.process.failures import TrainerFailure

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
SHAREGPT = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
TAGGED = {"tokens": ["in", "Paris"], "tags": ["O", "B-LOC"]}
PREFERRED = {"messages": TURNS[:1], "chosen": "Hello", "rejected": "What?"}

AUTO = {
    "text and label": (
        "text-classification",
        {"text": "a", "label": "b"},
        "classification",
        {"text": "a", "label": "b"},
    ),
    "numbered labels": (
        "text-classification",
        {"text": "a", "label": 1},
        "classification",
        {"text": "a", "label": "1"},
    ),
    "plain text": ("causal-lm", {"text": "a", "id": 1}, "text", {"text": "a"}),
    "messages": ("chat", {"messages": TURNS}, "chat", {"messages": TURNS}),
    "prompt and completion": (
        "chat",
        {"prompt": "Hi", "completion": "Hello"},
        "prompt-completion",
        {"messages": TURNS},
    ),
    "alpaca": ("instruction", {"instruction": "Hi", "output": "Hello"}, "alpaca", {"messages": TURNS}),
    "sharegpt": ("chat", {"conversations": SHAREGPT}, "sharegpt", {"messages": TURNS}),
    "several labels": (
        "text-classification",
        {"text": "a", "label": ["b", 1]},
        "classification",
        {"text": "a", "labels": ["b", "1"]},
    ),
    "tokens and tags": ("token-classification", TAGGED, "tokens", TAGGED),
    "numbered tags": (
        "token-classification",
        {"tokens": ["a"], "tags": [0]},
        "tokens",
        {"tokens": ["a"], "tags": ["0"]},
    ),
    "tokens in a table's cells": (
        "token-classification",
        {"tokens": "in Paris", "tags": '["O", "B-LOC"]'},
        "tokens",
        TAGGED,
    ),
    "question with context": (
        "question-answering",
        {"question": "Where?", "context": "Live in Paris.", "answer": "Paris"},
        "question-answering",
        {"question": "Where?", "context": "Live in Paris.", "answer": "Paris", "start": 8},
    ),
    "an answer as SQuAD writes it": (
        "question-answering",
        {"question": "Where?", "context": "a a", "answer": {"text": ["a"], "answer_start": [2]}},
        "question-answering",
        {"question": "Where?", "context": "a a", "answer": "a", "start": 2},
    ),
    "question alone": (
        "question-answering",
        {"question": "Where?", "answer": "Paris"},
        "question-answering",
        {"question": "Where?", "answer": "Paris"},
    ),
    "source and target": (
        "translation",
        {"source": "cat", "target": "chat"},
        "translation",
        {"source": "cat", "target": "chat"},
    ),
    "preference": ("preference", {"prompt": "Hi", "chosen": "Hello", "rejected": "What?"}, "preference", PREFERRED),
    "preference of conversations": (
        "preference",
        {"chosen": TURNS, "rejected": [TURNS[0], {"role": "assistant", "content": "What?"}]},
        "preference",
        PREFERRED,
    ),
}


@pytest.mark.parametrize(("task", "fields", "want_format", "want_example"), AUTO.values(), ids=AUTO)
def test_auto_finds_the_format_by_its_columns(task, fields, want_format, want_example):
    chosen = choose_format("auto", task, fields, {})
    assert chosen.name == want_format
    assert read_example(chosen, fields, {}) == want_example


def test_alpaca_input_follows_the_instruction():
    fields = {"instruction": "Translate", "input": "chat", "output": "cat"}
    example = read_example(choose_format("alpaca", "chat", fields, {}), fields, {})
    assert example["messages"][0]["content"] == "Translate\n\nchat"


def test_columns_give_the_roles_other_names():
    fields, columns = {"review": "a", "stars": "5"}, {"text": "review", "label": "stars"}
    chosen = choose_format("auto", "text-classification", fields, columns)
    assert read_example(chosen, fields, columns) == {"text": "a", "label": "5"}


def test_a_wrong_column_names_those_that_exist_and_the_way_out():
    with pytest.raises(TrainerFailure) as caught:
        choose_format("auto", "text-classification", {"review": "a", "stars": "5"}, {})
    assert caught.value.reason is FailureReason.DATA_INVALID
    assert "the columns are 'review', 'stars'" in caught.value.message
    assert "spec.dataset.columns" in caught.value.message


def test_a_format_of_another_task_is_refused():
    with pytest.raises(TrainerFailure, match="format 'text' does not serve task 'chat'; use chat, prompt-completion"):
        choose_format("text", "chat", {"text": "a"}, {})


@pytest.mark.parametrize("wanted", ["translation", "text"])
def test_a_format_that_only_columns_tell_has_no_name(wanted):
    with pytest.raises(TrainerFailure, match=f"format '{wanted}' does not serve .*; use chat, .*, sharegpt or auto$"):
        choose_format(wanted, "translation", {"source": "a", "target": "b"}, {})


@pytest.mark.parametrize("task", ["translation", "question-answering"])
def test_a_task_with_columns_of_its_own_also_learns_from_prompts(task):
    chosen = choose_format("auto", task, {"prompt": "Hi", "completion": "Hello"}, {})
    assert chosen.name == "prompt-completion"


def test_an_unsupported_task_is_an_invalid_run():
    with pytest.raises(TrainerFailure, match="task 'summarization' is not supported") as caught:
        formats_for("summarization")
    assert caught.value.reason is FailureReason.INVALID_RUN


def turn(role, content="x"):
    return {"role": role, "content": content}


USER, ASSISTANT, SYSTEM = turn("user"), turn("assistant"), turn("system")
BAD = {
    "empty text": ("causal-lm", {"text": "  "}, "text is empty"),
    "null text": ("causal-lm", {"text": None}, "text is null"),
    "number for text": ("causal-lm", {"text": 3}, "text must be a string, this is int"),
    "empty label": ("text-classification", {"text": "a", "label": " "}, "label is empty"),
    "no label": ("text-classification", {"text": "a", "label": None}, "label is empty"),
    "fraction for label": (
        "text-classification",
        {"text": "a", "label": 0.5},
        "label must be a string or a whole number",
    ),
    "empty completion": ("chat", {"prompt": "a", "completion": ""}, "completion is empty"),
    "no messages": ("chat", {"messages": []}, "messages is empty"),
    "text for messages": ("chat", {"messages": "hi"}, "messages must be an array"),
    "unknown role": ("chat", {"messages": [turn("human")]}, "message 1 has the unknown role 'human'"),
    "no content": ("chat", {"messages": [{"role": "user"}]}, "message 1 must be an object with 'role' and 'content'"),
    "null content": ("chat", {"messages": [turn("user", None)]}, "content of message 1 is null"),
    "late system": ("chat", {"messages": [USER, SYSTEM, ASSISTANT]}, "message 2 is a system message"),
    "no assistant": ("chat", {"messages": [USER]}, "no assistant message"),
    "assistant first": ("chat", {"messages": [SYSTEM, ASSISTANT]}, "the first message after the system message"),
    "two users": ("chat", {"messages": [USER, USER, ASSISTANT]}, "two user messages in a row"),
    "user last": ("chat", {"messages": [USER, ASSISTANT, USER]}, "the last message must be the assistant's"),
    "empty label of several": ("text-classification", {"text": "a", "label": ["b", ""]}, "label is empty"),
    "no tokens": ("token-classification", {"tokens": [], "tags": []}, "tokens is empty"),
    "a tag too few": ("token-classification", {"tokens": ["a", "b"], "tags": ["O"]}, "2 tokens, but 1 tags"),
    "empty token": ("token-classification", {"tokens": ["a", " "], "tags": ["O", "O"]}, "token 2 is empty"),
    "empty tag": ("token-classification", {"tokens": ["a"], "tags": [None]}, "tag 1 is empty"),
    "object for tokens": ("token-classification", {"tokens": {}, "tags": []}, "tokens must be an array"),
    "empty answer": ("question-answering", {"question": "a", "answer": ""}, "answer is empty"),
    "no answer": ("question-answering", {"question": "a", "answer": {"text": []}}, "answer has no text"),
    "empty context": ("question-answering", {"question": "a", "context": "", "answer": "b"}, "context is empty"),
    "other words at the start": (
        "question-answering",
        {"question": "a", "context": "b c", "answer": {"text": ["c"], "answer_start": [0]}},
        "the context has other words than the answer at answer_start 0",
    ),
    "empty target": ("translation", {"source": "a", "target": " "}, "target is empty"),
    "nothing to prefer": (
        "preference",
        {"prompt": "a", "chosen": "b", "rejected": " b "},
        "chosen and rejected are the",
    ),
    "no prompt": ("preference", {"chosen": "b", "rejected": "c"}, "prompt is missing"),
    "empty chosen": ("preference", {"prompt": "a", "chosen": "", "rejected": "c"}, "chosen is empty"),
    "different prompts": (
        "preference",
        {"chosen": [USER, ASSISTANT], "rejected": [turn("user", "y"), ASSISTANT]},
        "answers to different prompts",
    ),
    "user prefers": ("preference", {"chosen": [USER], "rejected": [USER]}, "the last message of chosen must be"),
    "unknown role in a prompt": (
        "preference",
        {"prompt": [turn("human")], "chosen": "b", "rejected": "c"},
        "message 1 has the unknown role 'human'",
    ),
}


def test_questions_and_translations_become_conversations_for_models_that_continue_text():
    question = as_conversation({"question": "Where?", "context": "In Paris.", "answer": "Paris", "start": 3})
    assert question == {"messages": [turn("user", "In Paris.\n\nWhere?"), turn("assistant", "Paris")]}
    translation = as_conversation({"source": "cat", "target": "chat"})
    assert translation == {"messages": [turn("user", "cat"), turn("assistant", "chat")]}
    assert as_conversation({"text": "a"}) == {"text": "a"}


@pytest.mark.parametrize(("task", "fields", "want_problem"), BAD.values(), ids=BAD)
def test_a_row_that_teaches_nothing_is_told(task, fields, want_problem):
    with pytest.raises(RowProblem, match=want_problem):
        read_example(choose_format("auto", task, fields, {}), fields, {})


def test_a_later_row_without_the_column_is_a_bad_row():
    chosen = choose_format("auto", "causal-lm", {"text": "a"}, {})
    with pytest.raises(RowProblem, match="no column 'text'; the row has body"):
        read_example(chosen, {"body": "a"}, {})
