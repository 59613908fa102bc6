"""What kopf is told: to watch, and nothing else."""

import asyncio

import kopf
import pytest
from finetune_operator.api import keys
from finetune_operator.cluster.store import Store
from finetune_operator.runtime.handlers import registry, settings, slim
from finetune_operator.runtime.queue import WorkQueue
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
    async def story():
        store, queue = Store(), WorkQueue()
        doors = registry(store, queue, Telemetry("test"), jobsets=True)
        on_workload = next(each.fn for each in doors._watching._handlers if each.fn.__name__ == "on_workload")
        labels = {keys.LABEL_JOB: "reviews", keys.LABEL_JOB_UID: "1", keys.LABEL_ATTEMPT: "1"}
        found = body(
            kind="JobSet", spec={"replicatedJobs": [{"template": {"spec": {"parallelism": 2, "template": {}}}}]}
        )
        found["metadata"] |= {"labels": labels, "creationTimestamp": "2026-11-24T12:00:00Z"}
        await on_workload(event={"type": None, "object": found})
        return store.workload(await queue.take())["spec"]

    assert asyncio.run(story()) == {"parallelism": 2, "suspend": False}


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
