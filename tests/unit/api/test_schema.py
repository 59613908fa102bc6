"""What the CRD is made of."""

import json

import pytest
from finetune_operator.api.schema import crd

CRD_LIMIT = 150_000


@pytest.fixture(scope="module")
def schema():
    return crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def nodes(node, path="$"):
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(node.get(word), dict):
            yield from nodes(node[word], f"{path}.{word}")


def test_every_part_of_the_schema_is_structural(schema):
    for path, node in nodes(schema):
        assert "type" in node, path
        assert not {"$ref", "anyOf", "title", "$defs"} & node.keys(), path


def test_nothing_unknown_is_preserved(schema):
    assert "preserve-unknown-fields" not in json.dumps(schema)


def test_the_crd_stays_small():
    assert len(json.dumps(crd())) < CRD_LIMIT


def test_jobs_are_not_in_the_category_all():
    names = crd()["spec"]["names"]
    assert "all" not in names["categories"]
    assert names["shortNames"] == ["ftj"]


def test_every_one_of_choice_has_its_rule(schema):
    for path, node in nodes(schema):
        if path.endswith((".source", ".storage", ".validation")):
            rules = [rule["message"] for rule in node.get("x-kubernetes-validations", [])]
            assert any("exactly one" in message for message in rules), path
