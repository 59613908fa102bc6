"""What kopf is told: to watch, and nothing else."""

import asyncio
import re

import kopf
import pytest
from builders import seen, status_of
from finetune_operator.api import keys, timestamps
from finetune_operator.cluster.store import Store
from finetune_operator.runtime import clock, handlers
from finetune_operator.runtime.handlers import Listing, registry, settings, slim
from finetune_operator.runtime.queue import WorkQueue
from finetune_operator.telemetry.instruments import exposition
from finetune_operator.telemetry.process import Telemetry


@pytest.fixture(scope="module")
def chosen():
    return settings()


def test_kopf_posts_no_events_and_asks_no_peers(chosen):
    assert not chosen.posting.enabled
    assert chosen.peering.standalone


def test_every_request_of_kopf_has_a_deadline(chosen):
    assert (chosen.networking.request_timeout, chosen.networking.connect_timeout) == (30, 5)
    assert (chosen.watching.server_timeout, chosen.watching.connect_timeout) == (300, 5)
    assert chosen.watching.inactivity_timeout < chosen.watching.server_timeout
    assert chosen.networking.enforce_retry_after


def test_only_objects_of_ours_are_watched(chosen):
    assert set(chosen.watching.label_selectors.values()) == {keys.LABEL_JOB_UID}
    assert {kind.any_name for kind in chosen.watching.label_selectors} == {"jobs", "jobsets", "pods"}


@pytest.mark.parametrize("jobsets", [False, True])
def test_jobsets_are_watched_only_where_there_may_be_some(jobsets):
    doors = registry(Store(), WorkQueue(), Telemetry("test"), jobsets=jobsets)
    watched = {each.selector.any_name or each.selector.plural for each in doors._watching._handlers}
    assert ("jobsets" in watched) == jobsets


def test_a_jobset_is_kept_as_the_job_that_it_stands_for():
    async def story(telemetry):
        store, queue = Store(), WorkQueue()
        doors = registry(store, queue, telemetry, jobsets=True)
        on_workload = next(each.fn for each in doors._watching._handlers if each.fn.__name__ == "on_workload")
        labels = {keys.LABEL_JOB: "reviews", keys.LABEL_JOB_UID: "1", keys.LABEL_ATTEMPT: "1"}
        found = body(
            kind="JobSet", spec={"replicatedJobs": [{"template": {"spec": {"parallelism": 2, "template": {}}}}]}
        )
        found["metadata"] |= {"labels": labels, "creationTimestamp": "2026-11-24T12:00:00Z"}
        await on_workload(event={"type": None, "object": found})
        return store.workload(await queue.take())["spec"]

    telemetry = Telemetry("test")
    assert asyncio.run(story(telemetry)) == {"parallelism": 2, "suspend": False}
    told = exposition(telemetry.registry, "")[0].decode()
    assert 'last_event_timestamp_seconds{replica_role="standalone",resource="jobsets"}' in told


def test_kopf_keeps_nothing_in_objects(chosen):
    """What it would store to find changes, for handlers that we do not have."""
    body = kopf.Body({"metadata": {"name": "reviews"}, "spec": {"task": "chat"}})
    essence = chosen.persistence.diffbase_storage.build(body=body, extra_fields=None)
    assert chosen.persistence.progress_storage.clear(essence=essence) == {}
    assert chosen.persistence.diffbase_storage.fetch(body=body) is None
    patch = kopf.Patch()
    chosen.persistence.diffbase_storage.store(body=body, patch=patch, essence=essence)
    assert patch == {}


def body(**fields):
    return {"metadata": {"namespace": "team", "name": "reviews", "uid": "1", "resourceVersion": "5"}, **fields}


def test_what_nobody_reads_is_not_kept():
    pod = body(spec={"nodeName": "one", "containers": [{}], "volumes": [{}]}, status={"phase": "Running"})
    annotations = {keys.ANNOTATION_RUN: "{}", "batch.kubernetes.io/job-completion-index": "1"}
    pod["metadata"] |= {"managedFields": [{}], "annotations": annotations}
    kept = slim(pod)
    assert kept["spec"] == {"nodeName": "one"}
    assert kept["metadata"] == body()["metadata"] | {"annotations": {"batch.kubernetes.io/job-completion-index": "1"}}
    assert kept["status"] == {"phase": "Running"}
    assert "managedFields" in pod["metadata"], "the watch's own object stays whole"


def test_a_job_without_a_status_goes_before_those_that_are_only_looked_at_again():
    async def story():
        queue = WorkQueue()
        doors = registry(Store(), queue, Telemetry("test"))
        on_job = next(each.fn for each in doors._watching._handlers if each.fn.__name__ == "on_job")
        older = body(status={"phase": "Running"})
        older["metadata"] = {
            **older["metadata"],
            "name": "older",
            "uid": "2",
            "creationTimestamp": "2026-11-24T12:00:00Z",
        }
        newer = body()
        newer["metadata"]["creationTimestamp"] = "2026-11-24T12:00:00Z"
        for found in (older, newer):
            await on_job(event={"type": None, "object": found})
        return [(await queue.take()).name for _ in range(2)]

    assert asyncio.run(story()) == ["reviews", "older"]


def seconds_until_over(*heard_after, ready_after=0.0):
    """Return how long it takes where objects are listed after so many seconds each, in `QUIET_SECONDS`."""

    async def play():
        loop, told, ready = asyncio.get_running_loop(), Listing(), asyncio.Event()
        began = loop.time()
        for moment in heard_after:
            loop.call_later(moment * handlers.QUIET_SECONDS, told.heard)
        loop.call_later(ready_after * handlers.QUIET_SECONDS, ready.set)
        await told.over(ready)
        return (loop.time() - began) / handlers.QUIET_SECONDS

    return asyncio.run(play())


def test_an_empty_cluster_is_listed_soon(monkeypatch):
    monkeypatch.setattr(handlers, "QUIET_SECONDS", 0.1)
    assert 1.0 <= seconds_until_over() < 3.0


def test_nothing_is_over_while_objects_come(monkeypatch):
    monkeypatch.setattr(handlers, "QUIET_SECONDS", 0.2)
    assert 2.2 <= seconds_until_over(0.4, 0.8, 1.2) < 5.0


def test_nothing_is_over_before_the_watches_are_up(monkeypatch):
    monkeypatch.setattr(handlers, "QUIET_SECONDS", 0.1)
    assert 3.0 <= seconds_until_over(0.5, ready_after=2.0) < 6.0


def told(kind, name, uid, *, from_job=None, version="5", **status):
    metadata = {"namespace": "team", "name": name, "uid": uid, "resourceVersion": version}
    spec = {"model": {"name": "all-MiniLM-L6-v2", **({"fromJob": from_job} if from_job else {})}}
    return {"type": kind, "object": {"metadata": metadata, "spec": spec, **({"status": status} if status else {})}}


def finished(status):
    return {"conditions": [{"type": "Finished", "status": status}]}


PARENTS = {
    "it is new": (told("ADDED", "first", "1"), True),
    "it has ended": (told("MODIFIED", "first", "1", **finished("True")), True),
    "it is gone": (told("DELETED", "first", "1", **finished("False")), True),
    "it trains": (told("MODIFIED", "first", "1", **finished("False")), False),
    "another one has ended": (told("MODIFIED", "other", "1", **finished("True")), False),
}


def woken(*events):
    """Return the jobs that are looked at after the last event."""

    async def story():
        store, queue = Store(), WorkQueue()
        doors = registry(store, queue, Telemetry("test"))
        on_job = next(each.fn for each in doors._watching._handlers if each.fn.__name__ == "on_job")
        for event in events:
            while queue.waiting:
                queue.done(await queue.take())
            await on_job(event=event)
        return sorted([(await queue.take()).name for _ in range(queue.waiting)])

    return asyncio.run(story())


CHILD = told("ADDED", "second", "2", from_job="first")


@pytest.mark.parametrize(("event", "wakes"), PARENTS.values(), ids=PARENTS)
def test_a_job_is_woken_by_what_it_goes_on_from_once(event, wakes):
    name = event["object"]["metadata"]["name"]
    assert woken(CHILD, event) == [name, *(["second"] if wakes else [])]


def test_a_job_that_is_gone_is_woken_by_nothing():
    assert woken(CHILD, {**CHILD, "type": "DELETED"}, told("ADDED", "first", "1")) == ["first"]


def a_pod_event(kind, **metadata):
    found = body(kind="Pod")
    labels = {keys.LABEL_JOB: "reviews", keys.LABEL_JOB_UID: "1", keys.LABEL_ATTEMPT: "1"}
    found["metadata"] |= {"labels": labels, "managedFields": [{"time": "2026-11-24T12:00:00Z"}], **metadata}
    return {"type": kind, "object": found}


AGES = {
    "a change": (a_pod_event("MODIFIED"), True),
    "what was there at the start": (a_pod_event(None), False),
    "an object on its way out": (a_pod_event("MODIFIED", deletionTimestamp="2026-11-24T12:00:45Z"), False),
    "an object that is gone": (a_pod_event("DELETED"), False),
}


@pytest.mark.parametrize(("event", "has_age"), AGES.values(), ids=AGES)
def test_only_a_change_has_an_age(event, has_age):
    telemetry = Telemetry("test")

    async def story():
        doors = registry(Store(), WorkQueue(), telemetry)
        await next(each.fn for each in doors._watching._handlers if each.fn.__name__ == "on_pod")(event=event)

    asyncio.run(story())
    told = exposition(telemetry.registry, "")[0].decode()
    assert ('event_lag_seconds_count{replica_role="standalone",resource="pods"} 1.0' in told) == has_age
    assert 'last_event_timestamp_seconds{replica_role="standalone",resource="pods"}' in told


def test_a_job_that_is_deleted_while_it_runs_does_not_lose_its_device_time():
    telemetry = Telemetry("test")
    attempt = {"number": 1, "job": "reviews-1", "startTime": timestamps.write(clock.now() - 50)}
    plan = status_of(seen()).plan.model_dump(mode="json", by_alias=True)
    gone = body(status={"plan": plan, "attempts": [attempt]})

    async def story():
        doors = registry(Store(), WorkQueue(), telemetry)
        on_job = next(each.fn for each in doors._watching._handlers if each.fn.__name__ == "on_job")
        await on_job(event={"type": "DELETED", "object": gone})

    asyncio.run(story())
    told = exposition(telemetry.registry, "")[0].decode()
    wasted = re.search(r'finetune_gpu_seconds_total{.*outcome="wasted"} ([0-9.]+)', told)
    assert 50 <= float(wasted[1]) < 70
