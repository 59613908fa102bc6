"""Writes a job's status in one request (`publish`), and tells of it in Events (`tell`)."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass

from finetune_operator.api import keys, timestamps
from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.cluster.client import EVENTS, JOBS, Body, Client
from finetune_operator.cluster.errors import Conflict, NotFound, Rejected
from finetune_operator.cluster.observe import look_at
from finetune_operator.cluster.store import Store
from finetune_operator.reconcile.actions import Event

NAMESPACE_GOES = "because it is being terminated"
"""The API server's words for a namespace that takes nothing new: nobody is left to read the event."""

EVENT_MESSAGE_LIMIT = 1024
"""Characters of an Event's message that the API server takes."""


@dataclass(frozen=True, slots=True)
class About:
    """An object that an Event is about."""

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class News:
    """A status to write, the Events that tell of it, and the moment (seconds since the epoch).

    `of_pods` are those about a pod: why its attempt has ended.

    `version` is the job's resourceVersion that the status was made from. It guards the write: a uid would not, since
    the API server does not look at one in an applied status.
    """

    status: FineTuneJobStatus
    events: tuple[Event, ...]
    now: float
    version: str
    of_pods: tuple[tuple[About, Event], ...] = ()


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
        await look_at(client, store, key)
        raise


async def tell(client: Client, key: JobKey, news: News) -> None:
    """Post the Events, each once: one that has been told before counts up."""
    job = About(keys.API_VERSION, keys.KIND, key.name, key.uid)
    for about, event in (*((job, event) for event in news.events), *news.of_pods):
        await _post(client, key.namespace, _event(key.namespace, about, event, news.now))


async def _post(client: Client, namespace: str, body: Body) -> None:
    try:
        await client.create(EVENTS, namespace, body)
    except Conflict:  # it has happened before
        await _count_up(client, namespace, body)
    except Rejected as error:
        if NAMESPACE_GOES not in error.message:
            raise


async def _count_up(client: Client, namespace: str, body: Body) -> None:
    """Tell an Event again: as with Kubernetes' own, its count and its last moment change."""
    name = body["metadata"]["name"]
    for known in await client.list(EVENTS, namespace, field_selector=f"metadata.name={name}"):
        again = {"count": known.get("count", 1) + 1, "lastTimestamp": body["lastTimestamp"]}
        with contextlib.suppress(NotFound):  # its hour is over just now
            await client.patch(EVENTS, namespace, name, again)


def _event(namespace: str, about: About, event: Event, now: float) -> Body:
    moment = timestamps.write(now)
    message = event.message[:EVENT_MESSAGE_LIMIT]
    digest = hashlib.sha256(json.dumps([about.uid, event.reason, message]).encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{about.name}.{digest}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "namespace": namespace,
            "name": about.name,
            "uid": about.uid,
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
