"""What the log says, and what it never says."""

import ast
import json
import logging
import pathlib

import finetune_operator
import pytest
from finetune_operator.telemetry.logs import HIDDEN, JsonFormatter, PlainFormatter, keys, redacted

SOURCES = sorted(pathlib.Path(finetune_operator.__file__).parent.rglob("*.py"))
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def record(message="phase changed", error=None, **fields):
    made = logging.LogRecord("finetune_operator.x", logging.INFO, "", 0, message, (), error)
    vars(made).update(keys(**fields))
    return made


def test_a_line_is_one_object_with_a_constant_message_and_keys():
    line = JsonFormatter().format(record(job="team/reviews", uid="u", attempt=2))
    assert "\n" not in line
    said = json.loads(line)
    assert (said["message"], said["job"], said["uid"], said["attempt"]) == ("phase changed", "team/reviews", "u", 2)
    assert (said["level"], said["logger"]) == ("info", "finetune_operator.x")
    assert said["time"][10] == "T"


def test_an_error_brings_its_trace_in_the_same_line():
    with pytest.raises(ValueError, match="broken") as caught:
        int("broken")
    line = JsonFormatter().format(record(error=(ValueError, caught.value, caught.tb)))
    assert "\n" not in line
    assert "ValueError: invalid literal" in json.loads(line)["error"]


def test_plain_lines_have_the_keys_too():
    assert PlainFormatter("%(message)s").format(record(job="team/a")) == "phase changed job=team/a"
    assert PlainFormatter("%(message)s").format(record()) == "phase changed"


SECRETS = {
    "a token of the hub": "hf_abcdefghijklmnop",
    "a key of AWS": "AKIAIOSFODNN7EXAMPLE",
    "the token of a request": "Bearer abcdef0123456789",
    "a signed token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
    "a password in an address": "https://user:hunter22@storage.example/bucket",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("formatter", [JsonFormatter(), PlainFormatter("%(message)s")])
def test_a_secret_in_an_error_message_is_hidden(formatter, secret):
    line = formatter.format(record(error_text=f"401 from there: {secret}, refused"))
    value = secret.removeprefix("Bearer ").removeprefix("https://").partition("@")[0]
    assert value not in line
    assert HIDDEN in line
    assert "refused" in line


@pytest.mark.parametrize("harmless", ["https://host:6443/apis/x@y", "hf_hub", "team/reviews", "Bearer of news"])
def test_what_is_no_secret_stays(harmless):
    assert redacted(harmless) == harmless


def calls(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        of_log = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS
        if of_log and isinstance(node.func.value, ast.Name) and node.func.value.id == "log":
            yield node


FOUND = [(path, call) for path in SOURCES for call in calls(path)]


def test_there_are_lines_to_look_at():
    assert len(FOUND) >= 5


@pytest.mark.parametrize(("path", "call"), FOUND, ids=[f"{path.stem}:{call.lineno}" for path, call in FOUND])
def test_every_message_is_constant_and_its_facts_are_keys(path, call):
    (message,) = call.args
    assert isinstance(message, ast.Constant)
    assert "%" not in message.value
    assert [keyword.arg for keyword in call.keywords] == ["extra"]


@pytest.mark.parametrize("path", sorted({path for path, _call in FOUND}), ids=lambda path: path.stem)
def test_a_line_about_a_job_names_its_uid(path):
    every = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    made = [node for node in every if isinstance(node.func, ast.Name) and node.func.id == "keys"]
    for node in made:
        names = {keyword.arg for keyword in node.keywords}
        assert ("job" in names) == ("uid" in names), f"{path.name}:{node.lineno}"
