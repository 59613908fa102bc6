"""How bad input is put into words."""

import pydantic
import pytest
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.planning.profiles import Profiles
from finetune_operator.runtime.commands import admission, complaints
from real_jobs import smallest
from rule_cases import TOKEN

SCHEMA = admission.schema()["properties"]["spec"]


def said(spec):
    with pytest.raises(pydantic.ValidationError) as error:
        FineTuneJobSpec.model_validate(spec)
    return complaints.lines(error.value, SCHEMA, "spec")


SAID = {
    "what is missing is described": (
        smallest(dataset=None),
        "spec.dataset: is missing; it is required (dataset to learn from.)",
    ),
    "a bound is named with the value": (
        smallest(training={"batchSize": 0}),
        "spec.training.batchSize: must be greater than or equal to 1, not 0 (batchSize is the effective batch",
    ),
    "words are listed": (smallest(task="chatt"), "spec.task: must be 'chat', 'instruction',"),
    "a place in a list has its number": (
        smallest(output={"destinations": [{"hub": {"repository": "a b", "tokenSecretRef": TOKEN}}]}),
        "spec.output.destinations[0].hub.repository: string must match pattern",
    ),
    "a free name is part of its path": (
        smallest(technique={"method": "peft", "peft": {"type": "ia3", "options": {"a": [1]}}}),
        "spec.technique.peft.options.a: must be",
    ),
}


@pytest.mark.parametrize(("spec", "want"), SAID.values(), ids=SAID)
def test_a_complaint_names_field_and_way_out(spec, want):
    (line,) = said(spec)
    assert line.startswith(want)


def test_several_complaints_keep_their_order():
    lines = said(smallest(task="x", training={"seed": -1}))
    assert [line.partition(":")[0] for line in lines] == ["spec.task", "spec.training.seed"]


def test_without_a_schema_places_are_whole():
    with pytest.raises(pydantic.ValidationError) as error:
        Profiles.model_validate({"hardware": {"Big": {"accelerator": "cpu"}}, "cpu": {"memoryBytes": 0}})
    lines = complaints.lines(error.value, complaints.ANY, "profiles")
    assert [line.partition(":")[0] for line in lines] == ["profiles.cpu.memoryBytes", "profiles.hardware.Big"]


def test_a_long_value_is_not_repeated():
    (line,) = said(smallest(queueName="-" * 200))
    assert "---" not in line


def test_a_word_that_is_like_none_is_answered_with_all():
    assert complaints.like("zzz", ["b", "a"]) == "known are a, b"
    assert complaints.like("epoch", ["epochs", "seed"]) == "did you mean epochs?"
