"""Every rule of the definition on a real API server: what it refuses with which words, and what it lets through."""

import pytest
import rule_cases
from finetune_operator.api.schema import RULES, crd
from finetune_operator.api.v1alpha1.spec import IMMUTABLE, FineTuneJobSpec
from real_jobs import Refused, merged, smallest
from rule_cases import CASES, FULL, ITSELF, KEPT, MUTABLE, NAMES, REQUIRED, UNDONE


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_contradiction_is_refused_by_its_rule_alone(jobs, case):
    with pytest.raises(Refused) as refused:
        jobs.create(smallest(**case.bad))
    (cause,) = refused.value.causes
    assert case.want in cause


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_nearly_the_same_is_taken(jobs, case):
    taken = jobs.create(smallest(**case.good))
    assert FineTuneJobSpec.model_validate(taken["spec"])


@pytest.mark.parametrize(("want", "bad", "good"), NAMES.values(), ids=NAMES)
def test_names_fit(jobs, want, bad, good):
    assert jobs.create(smallest(), name=good)
    with pytest.raises(Refused, match=want):
        jobs.create(smallest(), name=bad)


def test_a_job_does_not_go_on_from_itself(jobs):
    assert jobs.create(smallest(model={"fromJob": "monday"}), name="tuesday")
    with pytest.raises(Refused, match=ITSELF):
        jobs.create(smallest(model={"fromJob": "tuesday"}), name="tuesday")


@pytest.fixture(scope="module")
def full(jobs):
    jobs.create(FULL, name="full", dry=False)
    yield "full"
    jobs.delete("full")


@pytest.fixture(scope="module")
def bare(jobs):
    jobs.create(smallest(), name="bare", dry=False)
    yield "bare"
    jobs.delete("bare")


@pytest.mark.parametrize("field", KEPT)
def test_a_field_that_is_set_does_not_change(jobs, full, field):
    with pytest.raises(Refused, match=rf"spec\.{field}: immutable; delete the job and apply it again"):
        jobs.change(full, **{field: KEPT[field]})


@pytest.mark.parametrize("field", [field for field in KEPT if field not in REQUIRED])
def test_a_field_that_is_set_does_not_go(jobs, full, field):
    with pytest.raises(Refused, match=rf"spec\.{field}: immutable, set or unset; delete the job and apply it again"):
        jobs.change(full, **{field: None})


@pytest.mark.parametrize("field", [field for field in KEPT if field not in REQUIRED])
def test_a_field_that_is_unset_does_not_come(jobs, bare, field):
    with pytest.raises(Refused, match=rf"spec\.{field}: immutable, set or unset; delete the job and apply it again"):
        jobs.change(bare, **{field: FULL[field]})


@pytest.mark.parametrize("fields", MUTABLE.values(), ids=MUTABLE)
@pytest.mark.parametrize("name", ["full", "bare"])
def test_what_may_change_does(request, jobs, name, fields):
    answer = jobs.change(request.getfixturevalue(name), **fields)["spec"]
    assert {field: answer.get(field) for field in fields} == fields


def test_a_suspended_job_can_be_resumed(jobs):
    jobs.create(smallest(suspend=True), name="asleep", dry=False)
    assert jobs.change("asleep", suspend=False)["spec"]["suspend"] is False
    jobs.delete("asleep")


@pytest.mark.parametrize("undo", [False, None])
def test_a_cancelled_job_stays_cancelled(jobs, undo):
    name = f"over-{undo}".lower()
    jobs.create(smallest(cancel=True), name=name, dry=False)
    assert jobs.change(name, cancel=True, backoffLimit=0)
    with pytest.raises(Refused, match=UNDONE):
        jobs.change(name, cancel=undo)
    jobs.delete(name)


def rules():
    """Every rule of the definition: its message, which names its place."""

    def walk(node):
        yield from (rule["message"] for rule in node.get(RULES, []))
        for child in node.get("properties", {}).values():
            yield from walk(child)
        for word in ("items", "additionalProperties"):
            if isinstance(node.get(word), dict):
                yield from walk(node[word])

    return sorted(walk(crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))


def test_every_rule_has_a_case_that_it_refuses():
    found = rules()
    assert len(found) == len(set(found)) > 60
    assert [message for message in found if not any(want in message for want in rule_cases.all_wants())] == []


@pytest.mark.parametrize("want", sorted(rule_cases.all_wants()))
def test_every_case_means_one_rule(want):
    assert len([message for message in rules() if want in message]) == 1


def test_every_group_that_stays_has_a_change_to_refuse():
    assert set(KEPT) == set(IMMUTABLE)
    assert merged(FULL, KEPT) != FULL
