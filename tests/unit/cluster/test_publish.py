"""What becomes of status and Events."""

import asyncio

import pytest
from builders import a_job, seen, status_of
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.errors import Conflict, Rejected
from finetune_operator.cluster.publish import News, publish
from finetune_operator.cluster.store import Store
from finetune_operator.status.events import Event

KEY = JobKey("team", "reviews", "uid-1")
BODY = {"metadata": {"namespace": "team", "name": "reviews", "uid": "uid-1", "resourceVersion": "7"}}


class Cluster:
    """Takes a status, and answers an Event with an error."""

    def __init__(self, error=None):
        self.error, self.posted = error, []

    async def apply_status(self, resource, body):
        return BODY

    async def create(self, resource, namespace, body):
        if self.error:
            raise self.error
        self.posted.append(body)


def tell(cluster):
    news = News(status=status_of(seen(a_job())), events=(Event(reason="Planned", message="x", warning=False),), now=0.0)
    asyncio.run(publish(cluster, Store(), KEY, news))
    return cluster


def test_an_event_follows_the_status():
    (event,) = tell(Cluster()).posted
    assert (event["reason"], event["involvedObject"]["uid"]) == ("Planned", "uid-1")


OVERSEEN = {
    "the same event, posted before a crash": Conflict(409, "already exists"),
    "a namespace that goes": Rejected(403, "no new content in namespace x because it is being terminated"),
}


@pytest.mark.parametrize("error", OVERSEEN.values(), ids=OVERSEEN)
def test_an_event_that_nobody_needs_any_more_is_no_failure(error):
    assert tell(Cluster(error)).posted == []


def test_a_missing_right_is_a_failure():
    with pytest.raises(Rejected):
        tell(Cluster(Rejected(403, "events is forbidden")))
