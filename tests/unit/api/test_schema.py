"""What the CRD is made of."""

import pathlib

import pytest
import yaml
from finetune_operator.api.schema import RULES, crd
from finetune_operator.api.v1alpha1.spec import IMMUTABLE, FineTuneJobSpec

ROOT = pathlib.Path(__file__).resolve().parents[3]
CRD_LIMIT = 150_000
FREE = "x-kubernetes-preserve-unknown-fields"
ONE_OFS = {
    "$.spec.model.source",
    "$.spec.dataset.source",
    "$.spec.dataset.validation",
    "$.spec.dataset.validation.source",
    "$.spec.checkpoints.storage",
    "$.spec.output.destinations[]",
}


@pytest.fixture(scope="module")
def schema():
    return crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def nodes(node, path="$"):
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if isinstance(node.get("items"), dict):
        yield from nodes(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from nodes(node["additionalProperties"], f"{path}{{}}")


def test_every_part_of_the_schema_is_structural(schema):
    for path, node in nodes(schema):
        assert "type" in node or node == {FREE: True}, path
        assert not {"$ref", "anyOf", "title", "$defs", "patternProperties", "propertyNames"} & node.keys(), path


def test_only_the_options_of_an_adapter_are_free_form(schema):
    free = [path for path, node in nodes(schema) if FREE in node]
    assert free == ["$.spec.technique.peft.options{}"]


def test_all_that_a_user_writes_has_a_bound(schema):
    """The API server estimates what a rule costs from the bounds of what it reads."""
    for path, node in nodes(schema["properties"]["spec"], "$.spec"):
        if node.get("type") == "string":
            assert "enum" in node or "maxLength" in node or "[0-9a-f]{64}" in node["pattern"], path
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if node.get("type") in {"integer", "number"}:
            assert {"minimum", "maximum"} <= node.keys(), path


def test_the_definition_stays_small():
    assert (ROOT / "crds/finetunejobs.yaml").stat().st_size < CRD_LIMIT
    assert len(yaml.safe_dump(crd())) < CRD_LIMIT


def test_jobs_are_not_in_the_category_all():
    names = crd()["spec"]["names"]
    assert "all" not in names["categories"]
    assert names["shortNames"] == ["ftj"]


def test_every_one_of_choice_has_its_rule(schema):
    found = {path: node for path, node in nodes(schema) if path in ONE_OFS}
    assert found.keys() == ONE_OFS
    for path, node in found.items():
        messages = [rule["message"] for rule in node[RULES]]
        assert f"{path[2:]}: set exactly one of {', '.join(node['properties'])}" in messages


def test_every_message_names_its_field_and_the_way_out(schema):
    told = [(path, rule["message"]) for path, node in nodes(schema) for rule in node.get(RULES, [])]
    assert len(told) > 60
    for path, message in told:
        field, _, rest = message.partition(": ")
        assert field.startswith(path[2:]), message
        assert field.startswith(("spec", "metadata.name")), message
        assert "; " in rest or rest.startswith("set "), message


def test_every_field_says_what_happens_without_it(schema):
    """A field is required, or says its default or what unset means."""
    silent = []
    for path, node in nodes(schema["properties"]["spec"], "spec"):
        choice = f"$.{path}" in ONE_OFS | {"$.spec.hardware"}
        for name, child in node.get("properties", {}).items():
            said = child["description"]
            if name not in node.get("required", []) and not choice and "Unset" not in said and "Default" not in said:
                silent.append(f"{path}.{name}")
    assert silent == []


def test_fields_that_may_change_say_so_and_the_others_have_a_rule(schema):
    spec = schema["properties"]["spec"]
    for name, node in spec["properties"].items():
        assert (name in IMMUTABLE) == (" Mutable" not in node["description"]), name
        assert any(rule["rule"] == "self == oldSelf" for rule in node.get(RULES, [])) == (name in IMMUTABLE), name
        comes_or_goes = [rule for rule in spec[RULES] if rule["message"].startswith(f"spec.{name}: immutable")]
        assert len(comes_or_goes) == (name in IMMUTABLE and name not in spec["required"]), name
    assert set(IMMUTABLE) < spec["properties"].keys()


def test_defaults_are_those_of_the_models(schema):
    for name, field in FineTuneJobSpec.model_fields.items():
        node = schema["properties"]["spec"]["properties"][field.alias or name]
        if isinstance(field.default, bool | int):
            assert node["default"] == field.default
