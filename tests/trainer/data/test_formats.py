import pytest
from finetune_trainer.contract import FailureReason
from finetune_trainer.data.formats import RowProblem, choose_format, formats_for, read_example
from finetune_trainer.failures import TrainerFailure

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
SHAREGPT = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]

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


def test_an_unsupported_task_is_an_invalid_run():
    with pytest.raises(TrainerFailure, match="task 'translation' is not supported") as caught:
        formats_for("translation")
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
}


@pytest.mark.parametrize(("task", "fields", "want_problem"), BAD.values(), ids=BAD)
def test_a_row_that_teaches_nothing_is_told(task, fields, want_problem):
    with pytest.raises(RowProblem, match=want_problem):
        read_example(choose_format("auto", task, fields, {}), fields, {})


def test_a_later_row_without_the_column_is_a_bad_row():
    chosen = choose_format("auto", "causal-lm", {"text": "a"}, {})
    with pytest.raises(RowProblem, match="no column 'text'; the row has body"):
        read_example(chosen, {"body": "a"}, {})
