"""What the operator remembers of what the watches told."""

import pytest
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.store import Store, job_key, owner_key
from finetune_trainer.contract import Progress

KEY = JobKey("team", "reviews", "uid-1")


def job(version="1", **metadata):
    return {"metadata": {"namespace": "team", "name": "reviews", "uid": "uid-1", "resourceVersion": version} | metadata}


def child(name, *, version="1", attempt="1", created="2026-01-01T00:00:00Z", uid="uid-1"):
    labels = {"finetune.dev/job-name": "reviews", "finetune.dev/job-uid": uid, "finetune.dev/attempt": attempt}
    metadata = {"namespace": "team", "name": name, "resourceVersion": version, "labels": labels}
    return {"metadata": metadata | {"creationTimestamp": created}}


def test_a_job_is_found_by_its_key_until_it_is_forgotten():
    store = Store()
    assert store.keep_job(job()) == KEY == job_key(job())
    assert list(store.jobs()) == [(KEY, job())]
    store.keep_progress(KEY, Progress())
    store.forget_job(KEY)
    assert (store.job(KEY), store.progress(KEY)) == (None, None)


def test_an_older_state_never_replaces_a_newer_one():
    store = Store()
    store.keep_job(job("10"))
    store.keep_job(job("9"))
    assert store.job(KEY)["metadata"]["resourceVersion"] == "10"


def test_the_newest_attempt_is_the_one_that_counts():
    store = Store()
    for body in (child("reviews-2", attempt="2"), child("reviews-1", attempt="1")):
        assert store.keep_workload(body) == KEY
    assert store.workload(KEY)["metadata"]["name"] == "reviews-2"
    store.forget_workload(child("reviews-2", attempt="2"))
    assert store.workload(KEY)["metadata"]["name"] == "reviews-1"


def test_the_newest_pod_is_the_one_that_counts():
    store = Store()
    store.keep_pod(child("a", created="2026-01-01T00:00:05Z"))
    store.keep_pod(child("b", created="2026-01-01T00:00:00Z"))
    assert store.pod(KEY)["metadata"]["name"] == "a"
    store.forget_pod(child("a"))
    store.forget_pod(child("b"))
    assert store.pod(KEY) is None


def test_children_of_a_former_life_are_another_jobs():
    store = Store()
    store.keep_workload(child("old", uid="uid-0"))
    assert store.workload(KEY) is None


@pytest.mark.parametrize("attempt", ["x", "", "-1", "1.5"])
def test_a_child_with_a_forged_attempt_belongs_to_no_job(attempt):
    """Anybody may label a pod; a label that is no number must not stop the operator for everybody."""
    store = Store()
    assert store.keep_pod(child("forged", attempt=attempt)) is None
    assert store.keep_workload(child("forged", attempt=attempt)) is None
    assert (store.pod(KEY), store.workload(KEY)) == (None, None)


def test_a_stranger_belongs_to_no_job():
    stranger = {"metadata": {"namespace": "team", "name": "x"}}
    assert owner_key(stranger) is None
    assert Store().keep_pod(stranger) is None
    assert Store().forget_pod(stranger) is None
