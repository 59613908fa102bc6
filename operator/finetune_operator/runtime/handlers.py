"""The doors: every event of every watched kind is kept in the store and enqueues the job it belongs to."""

from __future__ import annotations

import typing

import kopf

from finetune_operator.api import keys
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.store import Store, job_key
from finetune_operator.runtime import clock
from finetune_operator.runtime.queue import WorkQueue
from finetune_operator.telemetry.process import Telemetry

DELETED = "DELETED"

Event = typing.Mapping[str, typing.Any]


def registry(store: Store, queue: WorkQueue, telemetry: Telemetry) -> kopf.OperatorRegistry:
    """Return kopf's registry with all doors."""
    doors = kopf.OperatorRegistry()

    async def on_job(event: Event, **_: object) -> None:
        telemetry.watched(keys.PLURAL, clock.now())
        body = event["object"]
        if event["type"] == DELETED:
            store.forget_job(job_key(body))
        else:
            store.keep_job(body)
        queue.add(job_key(body))

    async def on_workload(event: Event, **_: object) -> None:
        telemetry.watched("jobs", clock.now())
        keep = store.forget_workload if event["type"] == DELETED else store.keep_workload
        _enqueue(queue, keep(event["object"]))

    async def on_pod(event: Event, **_: object) -> None:
        telemetry.watched("pods", clock.now())
        keep = store.forget_pod if event["type"] == DELETED else store.keep_pod
        _enqueue(queue, keep(event["object"]))

    async def login(settings: kopf.OperatorSettings, **_: object) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(settings=settings)

    kopf.on.login(registry=doors)(login)
    kopf.on.event(keys.GROUP, keys.VERSION, keys.PLURAL, registry=doors)(on_job)
    kopf.on.event("batch", "v1", "jobs", labels={keys.LABEL_JOB_UID: kopf.PRESENT}, registry=doors)(on_workload)
    kopf.on.event("", "v1", "pods", labels={keys.LABEL_JOB_UID: kopf.PRESENT}, registry=doors)(on_pod)
    return doors


def settings() -> kopf.OperatorSettings:
    """Return kopf's settings: no Events of its own, no peering, deadlines everywhere, only our children watched."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.networking.request_timeout = 30.0
    chosen.networking.connect_timeout = 5.0
    chosen.networking.enforce_retry_after = True
    chosen.watching.server_timeout = 300  # whole seconds: it goes into the request as it is
    chosen.watching.connect_timeout = 5.0
    chosen.watching.label_selectors["batch", "v1", "jobs"] = keys.LABEL_JOB_UID
    chosen.watching.label_selectors["", "v1", "pods"] = keys.LABEL_JOB_UID
    return chosen


def _enqueue(queue: WorkQueue, key: JobKey | None) -> None:
    if key is not None:
        queue.add(key)
