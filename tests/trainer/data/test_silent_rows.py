"""What training libraries let through without a word, or stop at without a number: each is told here.

Not here: what only shows when rows are tokens (`torch/test_kept_rows.py`).
"""

import pytest
from finetune_trainer.contract import FailureReason
from finetune_trainer.data.load import load_data
from finetune_trainer.process.failures import TrainerFailure


def turn(role, content):
    return {"role": role, "content": content}


def chats(count):
    return [{"messages": [turn("user", f"question {n}"), turn("assistant", "yes")]} for n in range(count)]


USER, ANSWER = turn("user", "Hi"), turn("assistant", "Hello")
TEXTS = [{"text": f"a text {n}"} for n in range(20)]
PAIRS = [{"prompt": f"question {n}", "completion": "yes"} for n in range(20)]
BAD = {
    "no messages": ("chat", chats(20), {"messages": []}, "messages is empty"),
    "null content": ("chat", chats(20), {"messages": [USER, turn("assistant", None)]}, "content of message 2 is null"),
    "unknown role": ("chat", chats(20), {"messages": [USER, turn("bot", "a"), ANSWER]}, "the unknown role 'bot'"),
    "no assistant turn": (
        "chat",
        chats(20),
        {"messages": [USER]},
        "no assistant message, so there is nothing to learn",
    ),
    "no assistant turn at the end": ("chat", chats(20), {"messages": [USER, ANSWER, USER]}, "must be the assistant's"),
    "empty completion": ("chat", PAIRS, {"prompt": "a", "completion": " "}, "completion is empty"),
    "empty text": ("causal-lm", TEXTS, {"text": ""}, "text is empty"),
    "broken JSON": ("causal-lm", TEXTS, '{"text": "a"', "not valid JSON: Expecting ',' delimiter at column 13"),
    "another type in the column": ("causal-lm", TEXTS, {"text": 7}, "text must be a string, this is int"),
    "a conversation of another format": (
        "chat",
        chats(20),
        {"conversations": [{"from": "human", "value": "a"}]},
        "no column 'messages'; the row has conversations",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_row_that_would_teach_nothing_fails_the_job_with_its_number(a_run, rows_file, name):
    task, good, bad, problem = BAD[name]
    rows_file(*good, bad)
    with pytest.raises(TrainerFailure) as caught:
        load_data(a_run(task=task))
    assert caught.value.reason is FailureReason.DATA_INVALID
    assert "rows.jsonl row 21: " in caught.value.message
    assert problem in caught.value.message


CONVERTED = {
    "alpaca": [{"instruction": f"say {n}", "input": "", "output": "yes"} for n in range(20)],
    "sharegpt": [
        {"conversations": [{"from": "human", "value": f"say {n}"}, {"from": "gpt", "value": "yes"}]} for n in range(20)
    ],
}


@pytest.mark.parametrize("name", CONVERTED)
def test_formats_that_the_library_does_not_know_are_converted(a_run, rows_file, name):
    rows_file(*CONVERTED[name])
    data = load_data(a_run(task="chat"))
    assert all([each["role"] for each in row["messages"]] == ["user", "assistant"] for row in data.training)
