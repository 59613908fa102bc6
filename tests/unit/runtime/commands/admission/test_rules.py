"""The command line and the API server judge a manifest alike: both are held to tests/support/rule_cases.py."""

import pytest
from finetune_operator.runtime.commands import admission
from finetune_operator.runtime.commands.admission import objections, schema, unknown_fields
from real_jobs import smallest
from rule_cases import CASES, FULL, ITSELF, NAMES


def judged(spec, name="job"):
    return list(objections({"metadata": {"name": name}, "spec": spec}))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_contradiction_is_refused_by_its_rule_alone(case):
    (objection,) = judged(smallest(**case.bad))
    assert case.want in objection


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_nearly_the_same_is_taken(case):
    assert judged(smallest(**case.good)) == []


@pytest.mark.parametrize(("want", "bad", "good"), NAMES.values(), ids=NAMES)
def test_names_fit(want, bad, good):
    assert judged(smallest(), good) == []
    assert want in judged(smallest(), bad)[0]


def test_a_job_does_not_go_on_from_itself():
    spec = smallest(model={"fromJob": "tuesday"})
    assert judged(spec, "wednesday") == []
    assert ITSELF in judged(spec, "tuesday")[0]


def test_a_spec_with_every_group_is_taken():
    assert judged(FULL) == []


def test_null_counts_as_unset():
    assert judged(smallest() | {"training": {"maxSteps": 5, "epochs": None}}) == []


def test_defaults_are_filled_in_at_every_depth():
    node = {"properties": {"a": {"default": 1}, "b": {"items": {"properties": {"c": {"default": 2}, "d": {}}}}}}
    assert admission.with_defaults({"b": [{}, {"c": 3}, {"d": None}]}, node) == {
        "a": 1,
        "b": [{"c": 2}, {"c": 3}, {"c": 2}],
    }


UNKNOWN = {
    "spec.training.epoch: there is no such field; did you mean epochs?": {"training": {"epoch": 1}},
    "spec.training.max_steps: there is no such field; did you mean maxSteps?": {"training": {"max_steps": 1}},
    "spec.output.destinations[1].hug: there is no such field; did you mean hub?": {
        "output": {"destinations": [{"hub": {}}, {"hug": {}}]}
    },
    "spec.hardware.zzz: there is no such field; known are accelerator, devicesPerNode, instanceType, nodes, profile": {
        "hardware": {"zzz": 1}
    },
}


@pytest.mark.parametrize(("want", "spec"), UNKNOWN.items(), ids=UNKNOWN)
def test_an_unknown_field_is_named_with_the_one_that_was_meant(want, spec):
    assert list(unknown_fields(spec, schema()["properties"]["spec"], "spec")) == [want]


def test_options_of_an_adapter_are_free():
    spec = {"technique": {"peft": {"type": "oft", "options": {"anything": 1}}}}
    assert list(unknown_fields(spec, schema()["properties"]["spec"], "spec")) == []
