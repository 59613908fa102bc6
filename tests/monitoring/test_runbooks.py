"""What runbooks tell people to type and to change is there: fields, labels, metrics, values of the chart."""

import pathlib
import re

import pytest
import yaml
from finetune_operator.api import keys
from finetune_operator.api.schema import crd
from finetune_operator.telemetry.metrics import ALL
from finetune_operator.telemetry.words import CODES

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs/runbooks").glob("*.md"))
SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
VALUES = yaml.safe_load((ROOT / "charts/finetune-operator/values.yaml").read_text("utf-8"))
LABELS = {value for name, value in vars(keys).items() if name.startswith("LABEL_")}
each = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def has(schema, path):
    """Whether the API has a field; whatever is free-form has everything."""
    for part in path:
        while "items" in schema:
            schema = schema["items"]
        if "properties" not in schema:
            return True
        if part not in schema["properties"]:
            return False
        schema = schema["properties"][part]
    return True


def of_jobs(text):
    """Fields that commands about FineTuneJobs print."""
    for line in text.splitlines():
        if re.search(r"\bftj\b", line):
            yield from re.findall(
                r"\.(?:status|spec)(?:\.\w+|\[[^\]]*\])*", re.sub(r"\?\(@(\.[^=]*)=[^)]*\)", r"\1", line)
            )


def named(text):
    """What stands between backquotes and is a path of names."""
    return re.findall(r"`([a-zA-Z]+(?:\.[a-zA-Z]+)+)(?::[^`]*)?`", text)


def test_what_is_looked_for_is_found_in_these_pages():
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    assert len(list(of_jobs(text))) >= 10
    assert len(named(text)) >= 10
    assert len(greps(text)) >= 4
    assert has(SCHEMA, ["status", "attempts", "reason"])
    assert not has(SCHEMA, ["status", "atempts"])
    assert not has(SCHEMA, ["spec", "training", "learnRate"])


@each
def test_commands_print_fields_that_a_job_has(page):
    for path in of_jobs(page.read_text("utf-8")):
        names = re.findall(r"\w+", re.sub(r"\[[^\]]*\]", "", path))
        assert has(SCHEMA, names), path


@each
def test_labels_that_commands_choose_by_are_those_of_the_operator(page):
    for label in re.findall(r"-l (finetune\.dev/[\w-]+)=", page.read_text("utf-8")):
        assert label in LABELS


@each
def test_what_is_to_be_changed_is_a_field_of_the_job_or_a_value_of_the_chart(page):
    for name in named(page.read_text("utf-8")):
        parts = name.split(".")
        if parts[0] in {"spec", "status"}:
            assert has(SCHEMA, parts), name
            continue
        if has(SCHEMA, ["spec", *parts]) and parts[0] in SCHEMA["properties"]["spec"]["properties"]:
            continue
        value = VALUES
        for part in parts:
            assert isinstance(value, dict), name
            assert part in value or not value, name
            value = value.get(part, {})


def greps(text):
    """What is looked for in the metrics that operator and trainers serve."""
    return re.findall(r"proxy/metrics\"? \| grep (?:-E )?'?([^'\n|]+(?:\|[^'\n]+)?)'?", text)


@each
def test_what_is_looked_for_in_metrics_is_served(page):
    names = [name for metric in ALL for name in (metric.name, f"{metric.name}_sum", f"{metric.name}_count")]
    for pattern in greps(page.read_text("utf-8")):
        for one in re.split(r"\|(?![^(]*\))", pattern.strip()):
            found = one in CODES or any(re.search(one.replace("{", r"\{"), f"{name}{{") for name in names)
            assert found, one
