"""Names of children."""

from finetune_operator.api.identity import JobKey
from finetune_operator.api.schema import MAX_NAME
from finetune_operator.manifests import names
from hypothesis import given
from hypothesis import strategies as some

JOB_NAME_LIMIT = 63


def test_the_same_job_always_gives_the_same_names():
    key = JobKey("a", "b", "uid")
    assert names.attempt(key, 1) == names.attempt(key, 1)


@given(some.uuids(), some.uuids())
def test_a_job_created_again_under_its_name_has_other_children(one, other):
    if one != other:
        assert names.stem(JobKey("a", "b", str(one))) != names.stem(JobKey("a", "b", str(other)))


@given(some.uuids())
def test_the_longest_job_name_still_gives_a_valid_child_name(uid):
    assert len(names.attempt(JobKey("a", "x" * MAX_NAME, str(uid)), 99999)) <= JOB_NAME_LIMIT
