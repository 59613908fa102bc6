"""What the API tells a user about itself, and that what we print is true."""

import json
import pathlib
import re

import pytest
import yaml
from finetune_operator.api.schema import COLUMNS, crd
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.planning import checks
from finetune_operator.planning.catalog import from_config
from finetune_operator.planning.plan import Plan, plan
from finetune_operator.planning.profiles import Profiles
from finetune_operator.telemetry import metrics
from finetune_trainer.contract.metrics import Kind

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
"""What the operator reads beside a model's files, of examples whose model is in no catalog."""

SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def fields(node, path=""):
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", name, child
        yield from fields(child, f"{path}.{name}")
    if isinstance(node.get("items"), dict):
        yield from fields(node["items"], f"{path}[]")


@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_field_is_described_by_a_sentence_that_begins_with_its_name(part):
    found = list(fields(SCHEMA["properties"][part], part))
    assert len(found) > 50
    wrong = [path for path, name, node in found if not node.get("description", "").startswith((f"{name} ", f"{name}:"))]
    assert wrong == []


def test_every_column_shows_a_field_that_exists():
    for name, _kind, path, _priority in COLUMNS:
        if path.startswith((".spec", ".status")):
            node = SCHEMA
            for part in path.strip(".").split("."):
                node = node["properties"][part]
            assert node["type"] == "string", name


def jobs(path):
    return [d for d in yaml.safe_load_all(path.read_text("utf-8")) if d["kind"] == "FineTuneJob"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_valid_and_plans(path):
    for job in jobs(path):
        spec = FineTuneJobSpec.model_validate(job["spec"])
        config = path.with_suffix(".config.json")
        shape = from_config(json.loads(config.read_text())) if checks.is_inspected(spec) else None
        answer = plan(spec, Profiles(), shape=shape)
        assert isinstance(answer, Plan), answer


def test_there_are_examples():
    assert len([job for path in EXAMPLES for job in jobs(path)]) == 9


def test_the_job_in_the_readme_is_the_first_example():
    (snippet,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert yaml.safe_load(snippet) == jobs(ROOT / "examples/01-classify-reviews.yaml")[0]


def test_every_target_that_the_docs_name_is_in_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md", "docs/architecture.md"):
        text = (ROOT / name).read_text("utf-8")
        for target in re.findall(r"(?:^    |`)make ([a-z-]+)", text, re.MULTILINE):
            assert target in targets, f"{name}: make {target}"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md"])
def test_every_file_that_the_docs_link_or_name_exists(name):
    text = (ROOT / name).read_text("utf-8")
    linked = re.findall(r"\]\(([^)#:]+)\)", text)
    named = re.findall(r"`((?:operator|trainer|tests|e2e|examples|docs|charts|crds|\.ci)/[\w./-]*[\w/])`", text)
    for target in linked:
        assert ((ROOT / name).parent / target).exists(), target
    for target in named:
        if "/x/" not in target:
            assert (ROOT / target).exists(), target


def test_metrics_are_named_as_prometheus_asks():
    names = [metric.name for metric in metrics.ALL]
    assert len(names) == len(set(names))
    for metric in metrics.ALL:
        assert re.fullmatch(r"finetune_[a-z_]+", metric.name)
        assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total")
        assert metric.help.endswith(".")
        assert all(re.fullmatch(r"[a-z_]+", label.name) for label in metric.labels)
        assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)


def test_the_chart_carries_the_crd_that_the_models_make():
    own = yaml.safe_load((ROOT / "crds/finetunejobs.yaml").read_text("utf-8"))
    assert own == crd()
    text = (ROOT / "charts/finetune-operator/templates/crds/finetunejobs.yaml").read_text("utf-8")
    plain = "\n".join(line for line in text.splitlines() if "{{" not in line)
    assert yaml.safe_load(plain) == crd()
