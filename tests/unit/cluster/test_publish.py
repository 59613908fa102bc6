"""What becomes of status and Events."""

import asyncio

import pytest
from builders import a_job, seen, status_of
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.errors import Conflict, NotFound, Overloaded, Rejected
from finetune_operator.cluster.publish import About, News, publish
from finetune_operator.cluster.publish import tell as posted
from finetune_operator.cluster.store import Store
from finetune_operator.status.events import Event

KEY = JobKey("team", "reviews", "uid-1")
BODY = {"metadata": {"namespace": "team", "name": "reviews", "uid": "uid-1", "resourceVersion": "7"}}


class Cluster:
    """Takes a status, and answers an Event with an error."""

    def __init__(self, error=None):
        self.error, self.posted, self.written = error, [], None

    async def apply_status(self, resource, body):
        self.written = body
        return BODY

    async def create(self, resource, namespace, body):
        if self.error:
            raise self.error
        self.posted.append(body)


def tell(cluster):
    news = News(
        status=status_of(seen(a_job())),
        events=(Event(reason="Planned", message="x", warning=False),),
        now=0.0,
        version="7",
    )
    asyncio.run(publish(cluster, Store(), KEY, news))
    assert cluster.posted == []
    asyncio.run(posted(cluster, KEY, news))
    return cluster


def test_an_event_follows_the_status():
    (event,) = tell(Cluster()).posted
    assert (event["reason"], event["involvedObject"]["uid"]) == ("Planned", "uid-1")


def test_a_status_is_written_over_the_version_that_it_was_made_from():
    assert tell(Cluster()).written["metadata"]["resourceVersion"] == "7"


class Once(Cluster):
    """Holds Events by name, as an API server does."""

    def __init__(self):
        super().__init__()
        self.held = {}

    async def create(self, resource, namespace, body):
        if body["metadata"]["name"] in self.held:
            raise Conflict(409, "already exists")
        self.held[body["metadata"]["name"]] = body

    async def list(self, resource, namespace, *, field_selector):
        return [body for name, body in self.held.items() if field_selector == f"metadata.name={name}"]

    async def patch(self, resource, namespace, name, fields):
        self.held[name] = self.held[name] | fields


def test_an_event_that_comes_again_counts_up_and_is_no_second_one():
    cluster = Once()
    for now in (0.0, 60.0):
        news = News(status_of(seen(a_job())), (Event("ClaimNotFound", "x", warning=True),), now, "7")
        asyncio.run(posted(cluster, KEY, news))
    (event,) = cluster.held.values()
    assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (
        2,
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:01:00Z",
    )


def test_an_event_about_a_pod_names_it():
    cluster, pod = Cluster(), About("v1", "Pod", "reviews-1-x", "uid-2")
    news = News(status_of(seen(a_job())), (), 0.0, "7", ((pod, Event("HostOutOfMemory", "x", warning=True)),))
    asyncio.run(posted(cluster, KEY, news))
    (event,) = cluster.posted
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "team",
        "name": "reviews-1-x",
        "uid": "uid-2",
    }


OVERSEEN = {
    "a namespace that goes": Rejected(403, "no new content in namespace x because it is being terminated"),
}


@pytest.mark.parametrize("error", OVERSEEN.values(), ids=OVERSEEN)
def test_an_event_that_nobody_needs_any_more_is_no_failure(error):
    assert tell(Cluster(error)).posted == []


def test_a_missing_right_is_a_failure():
    with pytest.raises(Rejected):
        tell(Cluster(Rejected(403, "events is forbidden")))


class Without:
    """Refuses a status; holds a job of the same name with this uid, or none."""

    def __init__(self, error, uid):
        self.error, self.uid = error, uid

    async def apply_status(self, resource, body):
        raise self.error

    async def get(self, resource, namespace, name):
        if self.uid is None:
            raise NotFound(404, "no such job")
        return {"metadata": {**BODY["metadata"], "uid": self.uid}}


def refused(error, uid):
    """Whether the store still knows the job after its status was refused."""
    store = Store()
    store.keep_job(BODY)
    news = News(status=status_of(seen(a_job())), events=(), now=0.0, version="7")
    with pytest.raises(type(error)):
        asyncio.run(publish(Without(error, uid), store, KEY, news))
    return store.job(KEY) is not None


def test_a_job_that_is_gone_without_word_from_the_watch_is_forgotten():
    assert not refused(NotFound(404, "gone"), None)
    assert not refused(Conflict(409, "uid"), "uid-2")


def test_a_job_that_is_there_is_not_forgotten_for_a_conflict_or_a_busy_server():
    assert refused(Conflict(409, "try again"), "uid-1")
    assert refused(Overloaded(429, "slow down"), None)
