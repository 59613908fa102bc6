"""Realistic jobs and their whole plans, as `plan -o json` prints them. A change of a plan is a change of a file here.

A case is a folder with `job.yaml` and `want.json`; beside them may lie `profiles.yaml`, the model's `config.json` and
`pins`, one a line. Cases in `examples` have their job in the examples of the project.
"""

import json
import pathlib

import pytest
import yaml
from finetune_operator.runtime.commands.plan import FITS, REFUSED, main

HERE = pathlib.Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
OPTIONS = {"profiles.yaml": "--profiles", "config.json": "--model-config"}


def jobs_in(path):
    return [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one and one.get("kind") == "FineTuneJob"]


CASES = {path.parent.relative_to(HERE).as_posix(): path for path in sorted(HERE.rglob("job.yaml"))}
CASES |= {f"examples/{path.stem}": path for path in sorted(EXAMPLES.glob("*.yaml")) if jobs_in(path)}


def arguments(name):
    folder, job = HERE / name, CASES[name]
    given = [
        word for file, option in OPTIONS.items() if (folder / file).exists() for word in (option, str(folder / file))
    ]
    pins = (folder / "pins").read_text("utf-8").split() if (folder / "pins").exists() else []
    return [str(job), "-o", "json", *given, *(word for pin in pins for word in ("--pin", pin))]


@pytest.mark.parametrize("name", CASES)
def test_the_plan_is_as_it_was(name, capsys, updating):
    status = main(arguments(name))
    found = capsys.readouterr().out
    want = HERE / name / "want.json"
    if updating:
        want.parent.mkdir(parents=True, exist_ok=True)
        want.write_text(found, "utf-8")
    assert json.loads(found) == json.loads(want.read_text("utf-8"))
    assert status == (FITS if json.loads(found)["fits"] else REFUSED)


def test_there_are_enough_cases_and_none_is_left_behind():
    assert len(CASES) >= 75
    assert {path.parent.relative_to(HERE).as_posix() for path in HERE.rglob("want.json")} == set(CASES)
