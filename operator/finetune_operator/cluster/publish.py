"""Writes a job's status in one request (`publish`), and tells of it in Events (`tell`)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from finetune_operator.api import keys, timestamps
from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.cluster.client import EVENTS, JOBS, Body, Client
from finetune_operator.cluster.errors import Conflict, NotFound, Rejected
from finetune_operator.cluster.store import Store
from finetune_operator.reconcile.actions import Event

NAMESPACE_GOES = "because it is being terminated"
"""The API server's words for a namespace that takes nothing new: nobody is left to read the event."""

EVENT_MESSAGE_LIMIT = 1024
"""Characters of an Event's message that the API server takes."""


@dataclass(frozen=True, slots=True)
class News:
    """A status to write, the Events that tell of it, and the moment (seconds since the epoch).

    `version` is the job's resourceVersion that the status was made from. It guards the write: a uid would not, since
    the API server does not look at one in an applied status.
    """

    status: FineTuneJobStatus
    events: tuple[Event, ...]
    now: float
    version: str


async def publish(client: Client, store: Store, key: JobKey, news: News) -> None:
    """Write the status. Its Events are for `tell`, once this has succeeded."""
    body = {
        "apiVersion": keys.API_VERSION,
        "kind": keys.KIND,
        "metadata": {"name": key.name, "namespace": key.namespace, "resourceVersion": news.version},
        "status": news.status.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    try:
        store.keep_job(await client.apply_status(JOBS, body))
    except (NotFound, Conflict):
        await _look_at(client, store, key)
        raise


async def tell(client: Client, key: JobKey, news: News) -> None:
    """Post the Events; those that an earlier, broken-off telling has posted are there already."""
    for event in news.events:
        await _post(client, key, event, news.now)


async def _look_at(client: Client, store: Store, key: JobKey) -> None:
    """Take in how the job stands, where a watch is late; one that is gone is forgotten, and nothing done for it."""
    try:
        found = await client.get(JOBS, key.namespace, key.name)
    except NotFound:
        store.forget_job(key)
        return
    if found["metadata"]["uid"] == key.uid:
        store.keep_job(found)
    else:
        store.forget_job(key)


async def _post(client: Client, key: JobKey, event: Event, now: float) -> None:
    try:
        await client.create(EVENTS, key.namespace, _event(key, event, now))
    except Conflict:  # the same event, posted before a crash
        return
    except Rejected as error:
        if NAMESPACE_GOES not in error.message:
            raise


def _event(key: JobKey, event: Event, now: float) -> Body:
    moment = timestamps.write(now)
    message = event.message[:EVENT_MESSAGE_LIMIT]
    digest = hashlib.sha256(json.dumps([key.uid, event.reason, message, moment]).encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{key.name}.{digest}", "namespace": key.namespace},
        "involvedObject": {
            "apiVersion": keys.API_VERSION,
            "kind": keys.KIND,
            "namespace": key.namespace,
            "name": key.name,
            "uid": key.uid,
        },
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason,
        "message": message,
        "source": {"component": keys.EVENT_SOURCE},
        "reportingComponent": f"{keys.GROUP}/operator",
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
