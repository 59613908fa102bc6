"""Commands in README and guides do what stands there: they run as written, and what is printed below them is current.

A block of `yaml` or `json` that names a file in its first lines is that file. A command ends with its exit status in a
comment where that is not 0. A block of `text` behind commands is what the last of them prints, whole.
"""

import itertools
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
from finetune_operator.runtime.cli import COMMANDS, main

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
GUIDES = {"README.md": 2, "docs/guides/planning.md": 11}
"""Texts, with how many commands they have at least."""

PROGRAM = re.compile(
    r"^ *(?:\S*/)?python -m finetune_operator (?P<words>(?:plan|catalog) [^#\n]*)(?:#.*status (?P<status>\d+))?$"
)
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"^# (?P<yaml>\S+\.yaml)$|^ *\"_file\": \"(?P<json>\S+\.json)\",$", re.MULTILINE)


def commands(text):
    found = (PROGRAM.match(line) for line in text.splitlines())
    return [(shlex.split(one["words"]), int(one["status"] or 0)) for one in found if one]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(text):
    for block in BLOCK.finditer(text):
        name = NAME.search(block["body"]) if block["kind"] in {"yaml", "json"} else None
        if name:
            yield name["yaml"] or name["json"], block["body"]


@pytest.mark.parametrize("name", GUIDES)
def test_every_command_runs_as_it_is_written(name, folder, capsys):
    text = (ROOT / name).read_text("utf-8")
    for file, body in files(text):
        (folder / file).write_text(body)
    found = commands(text)
    assert len(found) >= GUIDES[name]
    for words, status in found:
        assert main(words) == status, (words, capsys.readouterr().err)


@pytest.mark.parametrize("name", GUIDES)
def test_what_commands_print_is_what_stands_below_them(name, folder, capsys, updating):
    path = ROOT / name
    text = path.read_text("utf-8")
    for file, body in files(text):
        (folder / file).write_text(body)
    blocks = list(BLOCK.finditer(text))
    shown = [
        (before, after)
        for before, after in itertools.pairwise(blocks)
        if after["kind"] == "text" and commands(before["body"])
    ]
    new = text
    for before, after in reversed(shown):
        words, _status = commands(before["body"])[-1]
        main(words)
        new = new[: after.start("body")] + capsys.readouterr().out.rstrip() + "\n" + new[after.end("body") :]
    if updating:
        path.write_text(new, "utf-8")
    assert new == path.read_text("utf-8")


def test_every_command_of_the_program_is_in_a_guide():
    text = "".join((ROOT / name).read_text("utf-8") for name in GUIDES)
    told = set(re.findall(r"python -m finetune_operator ([a-z]+)", text))
    assert told == set(COMMANDS)


def test_the_program_is_found_without_a_path_to_it(tmp_path):
    command = [sys.executable, "-m", "finetune_operator", "catalog", "accelerators"]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(command, cwd=tmp_path, env=clean, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_the_demo_makes_the_environment_that_is_used_after_it():
    after_it = README.split("After `make demo`", 1)[1].split("## ", 1)[0]
    assert ".venv/bin/python" in after_it
    steps = subprocess.run(["make", "-n", "demo"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert ".ci/venv dev" in steps
