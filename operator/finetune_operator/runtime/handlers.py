"""The doors: every event of every watched kind is kept in the store and enqueues the job it belongs to."""

from __future__ import annotations

import asyncio
import logging
import sys
import typing

import kopf

from finetune_operator.api import keys
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.reading import as_job, status
from finetune_operator.cluster.store import Body, Store, job_key
from finetune_operator.runtime import clock
from finetune_operator.runtime.queue import WorkQueue
from finetune_operator.telemetry.process import Telemetry

DELETED = "DELETED"

UNREAD = {
    "metadata": {"managedFields"},
    "annotations": {keys.ANNOTATION_RUN, "kubectl.kubernetes.io/last-applied-configuration"},
    "spec": {"template", "containers", "volumes", "tolerations"},
}
"""What no decision rests on, by the part of an object that it is in: more than half of what a child weighs."""

SHORT = 64
"""Characters up to which a text is likely to occur in many objects: a reason, a choice of the plan, a moment."""

LISTED_AT_ONCE = 100
"""Objects in one answer to a list: as they come they weigh four times what is kept of them."""

IDLE_SECONDS = 0.2
"""Seconds that kopf keeps the last event of an object, whole, and a task that waits for the next."""

QUIET_SECONDS = 0.5
"""Seconds without anything listed after which the lists are over; kopf does not tell of their end."""

Event = typing.Mapping[str, typing.Any]


class Listing:
    """When the watches have told of all that was there at the start: until then, old jobs are held back.

    They would be seen without the pods that are listed after them.
    """

    def __init__(self) -> None:
        self._heard = 0.0

    def heard(self) -> None:
        """Take in that something was listed."""
        self._heard = asyncio.get_running_loop().time()

    async def over(self, ready: asyncio.Event) -> None:
        """Wait until the watches are up and list nothing any more.

        Where an answer takes longer than `QUIET_SECONDS`, it returns too early: then a few jobs are looked at twice.
        """
        await ready.wait()
        loop = asyncio.get_running_loop()
        since = loop.time()
        while (left := max(since, self._heard) + QUIET_SECONDS - loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)


def farewell(store: Store, queue: WorkQueue, telemetry: Telemetry) -> typing.Callable[[Body], None]:
    """Return what is done about a job that is gone, whether a watch tells of it or nobody does any more."""

    def see_off(body: Body) -> None:
        store.forget_job(job_key(body))
        telemetry.deleted(job_key(body), status(body), clock.now())
        _enqueue(queue, job_key(body), *store.heirs(body, gone=True))

    return see_off


def registry(
    store: Store, queue: WorkQueue, telemetry: Telemetry, *, jobsets: bool = False, listing: Listing | None = None
) -> kopf.OperatorRegistry:
    """Return kopf's registry with all doors; that of JobSets only where there may be some."""
    doors = kopf.OperatorRegistry()

    def note(resource: str, event: Event) -> None:
        """Tell telemetry of an event; how old it is can be told of changes only.

        What is listed at the start is none, nor is an object on its way out: its fields are as old as they were.
        """
        body = event["object"]
        live = event["type"] in {"ADDED", "MODIFIED"} and not body["metadata"].get("deletionTimestamp")
        telemetry.watched(resource, clock.now(), body if live else None)
        if event["type"] is None and listing is not None:
            listing.heard()

    see_off = farewell(store, queue, telemetry)

    async def on_job(event: Event, **_: object) -> None:
        note(keys.PLURAL, event)
        body = slim(event["object"])
        if event["type"] == DELETED:
            see_off(body)
        else:
            store.keep_job(body)
            queue.add(job_key(body), first="status" not in body)
            _enqueue(queue, *store.heirs(body))

    async def on_workload(event: Event, **_: object) -> None:
        note("jobsets" if event["object"].get("kind") == keys.JOBSET else "jobs", event)
        keep = store.forget_workload if event["type"] == DELETED else store.keep_workload
        _enqueue(queue, keep(slim(as_job(event["object"]))))

    async def on_pod(event: Event, **_: object) -> None:
        note("pods", event)
        keep = store.forget_pod if event["type"] == DELETED else store.keep_pod
        _enqueue(queue, keep(slim(event["object"])))

    async def login(settings: kopf.OperatorSettings, **_: object) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(settings=settings)

    kopf.on.login(registry=doors)(login)
    kopf.on.event(keys.GROUP, keys.VERSION, keys.PLURAL, registry=doors)(on_job)
    kopf.on.event("batch", "v1", "jobs", registry=doors)(on_workload)
    if jobsets:
        group, version = keys.JOBSET_VERSION.split("/")
        kopf.on.event(group, version, "jobsets", registry=doors)(on_workload)
    kopf.on.event("", "v1", "pods", registry=doors)(on_pod)
    return doors


def slim(body: Body) -> Body:
    """Return an object without what nobody reads; the store holds thousands."""
    metadata, spec = _without("metadata", body["metadata"]), body.get("spec")
    if annotations := metadata.get("annotations"):
        metadata["annotations"] = _without("annotations", annotations)
    whole = {**body, "metadata": metadata, **({"spec": _without("spec", spec)} if spec else {})}
    return typing.cast("Body", _shared(whole))


def _shared(value: typing.Any) -> typing.Any:
    """Return a value whose keys and short texts are one object wherever they occur: half of what thousands weigh.

    It runs a hundred times for each object that is listed: the kind is asked for by identity, texts first.
    """
    kind = type(value)
    if kind is str:
        return sys.intern(value) if len(value) <= SHORT else value
    if kind is dict:
        return {sys.intern(name): _shared(part) for name, part in value.items()}
    return [_shared(part) for part in value] if kind is list else value


def _without(part: str, fields: Body) -> dict[str, typing.Any]:
    return {name: value for name, value in fields.items() if name not in UNREAD[part]}


def settings() -> kopf.OperatorSettings:
    """Return kopf's settings: no Events of its own, no peering, deadlines everywhere, only our children watched.

    So no door need ask a child for its labels again.
    """
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.posting.level = logging.WARNING  # none is posted; were it ever enabled, not every line of the log
    chosen.peering.standalone = True
    chosen.networking.request_timeout = 30.0
    chosen.networking.connect_timeout = 5.0
    chosen.networking.enforce_retry_after = True
    chosen.watching.server_timeout = 300  # whole seconds: it goes into the request as it is
    chosen.watching.connect_timeout = 5.0
    chosen.watching.chunk_size = LISTED_AT_ONCE
    chosen.queueing.idle_timeout = IDLE_SECONDS
    chosen.watching.label_selectors["batch", "v1", "jobs"] = keys.LABEL_JOB_UID
    chosen.watching.label_selectors["", "v1", "pods"] = keys.LABEL_JOB_UID
    group, version = keys.JOBSET_VERSION.split("/")
    chosen.watching.label_selectors[group, version, "jobsets"] = keys.LABEL_JOB_UID
    chosen.persistence.diffbase_storage = _NoDiffs()
    chosen.persistence.progress_storage = _NoProgress()
    return chosen


class _NoDiffs(kopf.DiffBaseStorage):  # type: ignore[misc]  # kopf comes without types
    """Spares kopf the copies of each object that it compares for handlers of changes, of which there are none."""

    def build(self, **_: object) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: object) -> None:
        return None

    def store(self, **_: object) -> None:
        """Write nothing into objects."""


class _NoProgress(kopf.ProgressStorage):  # type: ignore[misc]
    """Spares kopf the same for handlers in progress."""

    def fetch(self, **_: object) -> None:
        return None

    def store(self, **_: object) -> None:
        """Write nothing into objects."""

    def purge(self, **_: object) -> None:
        """Have nothing to remove."""

    def touch(self, **_: object) -> None:
        """Write nothing into objects."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def _enqueue(queue: WorkQueue, *found: JobKey | None) -> None:
    for key in found:
        if key is not None:
            queue.add(key)
