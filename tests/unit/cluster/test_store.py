"""What the operator remembers of what the watches told."""

import pytest
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.store import Look, Store, job_key, owner_key, rank_of
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


def versioned(name, version, uid, **more):
    body = child(name, version=version, **{one: more.pop(one) for one in ("attempt",) if one in more})
    body["metadata"]["uid"] = uid
    return {**body, **more}


def test_what_is_gone_does_not_come_back_with_late_news():
    store = Store()
    store.keep_job(job())
    store.keep_workload(versioned("reviews-1", "5", "a"))
    store.forget_workload(versioned("reviews-1", "6", "a"))
    assert store.keep_workload(versioned("reviews-1", "5", "a")) == KEY
    assert store.workload(KEY) is None


def test_the_end_of_an_earlier_object_is_not_that_of_another_with_its_name():
    store = Store()
    store.keep_workload(versioned("reviews-1", "9", "b"))
    store.forget_workload(versioned("reviews-1", "6", "a"))
    assert store.workload(KEY)["metadata"]["uid"] == "b"


def test_the_last_state_of_a_pod_outlives_it_and_late_news_of_it_count():
    store = Store()
    store.keep_job(job())
    store.keep_pod(versioned("x", "5", "a", status={"phase": "Running"}))
    store.forget_pod(versioned("x", "6", "a", status={"phase": "Running"}))
    store.keep_pod(versioned("x", "7", "a", status={"phase": "Failed"}))
    store.keep_pod(versioned("x", "4", "a", status={"phase": "Pending"}))
    ((body, moment),) = store.gone_pods(KEY)
    assert (body["status"]["phase"], moment) == ("Failed", 0.0)
    assert store.pods(KEY) == ()


def test_of_pods_of_earlier_attempts_nothing_is_kept_once_the_next_has_a_job():
    store = Store()
    store.keep_job(job())
    store.forget_pod(versioned("x", "5", "a", status={"phase": "Failed"}))
    assert len(store.gone_pods(KEY)) == 1
    store.keep_workload(versioned("reviews-2", "6", "b", attempt="2"))
    assert store.gone_pods(KEY) == ()
    store.keep_pod(versioned("x", "5", "a", status={"phase": "Running"}))
    assert store.pods(KEY) == ()


def test_a_live_look_takes_in_what_is_new_and_buries_what_is_not_there():
    store = Store()
    store.keep_workload(versioned("reviews-1", "5", "a"))
    store.keep_pod(versioned("x", "5", "p", status={"phase": "Running"}))
    before = store.known(KEY)
    store.keep_pod(versioned("y", "8", "q", status={}))  # told by the watch while the look was under way
    store.resync(KEY, before, Look((versioned("reviews-2", "7", "b", attempt="2"),), ()), 100.0)
    assert [body["metadata"]["name"] for body in store.workloads(KEY)] == ["reviews-2"]
    assert [body["metadata"]["name"] for body in store.pods(KEY)] == ["y"]


def test_what_a_live_look_finds_gone_has_a_moment_until_the_watch_tells():
    store = Store()
    store.keep_job(job())
    pod = versioned("x", "5", "p", status={"phase": "Running"})
    store.keep_pod(pod)
    store.resync(KEY, store.known(KEY), Look((), ()), 100.0)
    assert store.gone_pods(KEY) == ((pod, 100.0),)
    last = versioned("x", "6", "p", status={"phase": "Failed"})
    store.forget_pod(last)
    assert store.gone_pods(KEY) == ((last, 0.0),)


def test_children_were_looked_at_first_when_they_were_first_asked_for():
    store = Store()
    assert store.looked(KEY, 100.0) == 100.0
    assert store.looked(KEY, 200.0) == 100.0
    store.resync(KEY, store.known(KEY), Look((), ()), 300.0)
    assert store.looked(KEY, 400.0) == 300.0


def test_of_several_pods_rank_0_reports():
    store = Store()
    for name, rank in (("late", "0"), ("early", "1")):
        body = child(name, created=f"2026-01-01T00:00:0{9 - int(rank)}Z")
        body["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] = rank
        store.keep_pod(body)
    assert store.pod(KEY)["metadata"]["name"] == "late"


@pytest.mark.parametrize(("label", "want"), [("3", 3), ("x", 0), ("-1", 0)])
def test_a_rank_that_is_no_number_is_the_first(label, want):
    body = child("x")
    body["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] = label
    assert rank_of(body) == want


def test_of_the_children_of_a_job_that_is_gone_nothing_stays():
    store = Store()
    store.keep_job(job())
    store.keep_pod(versioned("x", "5", "p", status={"phase": "Running"}))
    store.forget_job(KEY)
    for name in ("x", "y"):  # the garbage collector deletes them after their job
        store.keep_pod(versioned(name, "6", name, status={"phase": "Running"}))
    for name in ("x", "y", "z"):
        assert store.forget_pod(versioned(name, "7", name, status={"phase": "Failed"})) == KEY
    assert (store.pods(KEY), store.gone_pods(KEY)) == ((), ())


def names_of_children(store, key):
    looked = store.known(key)
    return sorted(body["metadata"]["name"] for body in (*looked.workloads, *looked.pods)) or None


WORKLOAD, POD = versioned("reviews-1", "5", "a"), versioned("x", "5", "p", status={"phase": "Running"})
CHANGES = {
    "a Job is made": lambda store: store.keep_workload(versioned("reviews-2", "7", "b")),
    "a pod is made": lambda store: store.keep_pod(versioned("y", "7", "q")),
    "a Job goes": lambda store: store.forget_workload(WORKLOAD),
    "a pod goes": lambda store: store.forget_pod(POD),
    "a live look does not find them": lambda store: store.resync(KEY, store.known(KEY), Look((), ()), 9.0),
    "a live look finds one more": lambda store: store.resync(
        KEY, store.known(KEY), Look((WORKLOAD, versioned("reviews-2", "7", "b")), (POD,)), 9.0
    ),
    "the job goes": lambda store: store.forget_job(KEY),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_derived_of_each_job_follows_every_change(change):
    store = Store()
    store.keep_workload(WORKLOAD)
    store.keep_pod(POD)
    assert store.each(names_of_children) == []  # of a job that nobody has told of yet
    store.keep_job(job())
    assert store.each(names_of_children) == [(KEY, ["reviews-1", "x"])]
    change(store)
    found = names_of_children(store, KEY)
    assert found != ["reviews-1", "x"]
    assert store.each(names_of_children) == ([(KEY, found)] if found else [])


def test_what_is_derived_is_asked_of_nobody_who_has_not_changed():
    store, asked = Store(), []
    store.keep_job(job())

    def note(_store, key):
        asked.append(key)
        return True

    for _ in range(3):
        assert store.each(note) == [(KEY, True)]
    assert asked == [KEY]
    store.keep_job(job())  # a status, of which nothing may be derived
    store.each(note)
    assert asked == [KEY]
