"""Reads API objects into a Snapshot; `observe` is the entry.

The watches tell most of it. Read live is what they cannot tell: whether an attempt is gone that they know nothing of,
what a job needs before it begins, and why its pods do not start.
"""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api import keys
from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.cluster import ancestry, reading
from finetune_operator.cluster.client import EVENTS, PODS, RESOURCES, Client
from finetune_operator.cluster.errors import NotFound, Rejected
from finetune_operator.cluster.store import Body, Look, Store, attempt_of, owner_key
from finetune_operator.manifests import volumes
from finetune_operator.manifests.volumes import CLAIM, Required
from finetune_operator.planning.profiles import Profiles
from finetune_operator.reconcile.attempts.underway import RUNNING_RESYNC, WAITING_RESYNC
from finetune_operator.reconcile.decide import finished
from finetune_operator.reconcile.snapshot import Missing, Parent, PodFacts, Snapshot, Trouble, Workload

NO_POD_SECONDS = 5.0
"""Seconds that a Job may take to make its pods, before its Events are asked why it does not."""

CREATING_SECONDS = 10.0
"""Seconds that a pod on a node may take to start, before its Events are asked why it does not."""

SHARED = frozenset({"ReadWriteMany", "ReadOnlyMany"})
"""Access modes with which several nodes can mount a claim."""


async def observe(client: Client, store: Store, key: JobKey, *, profiles: Profiles, now: float) -> Snapshot | None:
    """Return what is known of a job, or None where it no longer exists.

    Raises:
        ApiError: something that has to be known could not be read.
    """
    body = store.job(key)
    if body is None:
        return None
    spec, previous = reading.spec(body, profiles), reading.status(body)
    meta = reading.meta(key, body)
    settled = finished(previous) or meta.deleting
    listed = not settled and _in_doubt(store, key, previous, now)
    if listed:
        store.resync(key, store.known(key), await look(client, key), now)
    workloads, pods = tuple(reading.workload(one) for one in store.workloads(key)), _pods(store, key)
    asked = _Needs()
    if isinstance(spec, FineTuneJobSpec) and not settled and _may_begin(spec, workloads):
        asked = await _needs(client, key, spec)
    said = store.progress(key)
    current = max((one.number for one in previous.attempts), default=0)
    current = max((one.attempt for one in workloads), default=current)
    return Snapshot(
        meta=meta,
        spec=spec,
        previous=previous,
        workloads=workloads,
        pods=pods,
        listed=listed,
        progress=said if said is not None and said.attempt == current else None,
        missing=asked.missing,
        unshared=asked.unshared,
        parent=asked.parent,
        trouble=None if settled or not workloads else await _trouble(client, key, (workloads[-1], pods), now),
        profiles=profiles,
        now=now,
    )


async def look(client: Client, key: JobKey) -> Look:
    """Read all Jobs and pods of a job from the API server."""
    mine = f"{keys.LABEL_JOB_UID}={key.uid}"
    jobs = await client.list(RESOURCES["Job"], key.namespace, label_selector=mine)
    pods = await client.list(PODS, key.namespace, label_selector=mine)
    return Look(*(tuple(body for body in found if owner_key(body) == key) for found in (jobs, pods)))


def _in_doubt(store: Store, key: JobKey, previous: FineTuneJobStatus, now: float) -> bool:
    """Whether what the watches told does not do: they know no Job of an attempt that has not ended, or say nothing."""
    newest, last = store.workload(key), previous.attempts[-1] if previous.attempts else None
    if last is not None and last.end_time is None and (newest is None or attempt_of(newest) < last.number):
        return True
    looked = store.looked(key, now)
    if newest is None:
        return False
    body, said = store.pod(key), store.progress(key)
    running = body is not None and (body.get("status") or {}).get("phase") == "Running"
    heard = max(looked, said.updated_at if said else 0.0)
    # News from far in the future was heard before the clock was put back: nobody knows how long ago that is.
    return abs(now - heard) >= (RUNNING_RESYNC if running else WAITING_RESYNC)


def _may_begin(spec: FineTuneJobSpec, workloads: tuple[Workload, ...]) -> bool:
    """Whether the next decision may be to begin an attempt: then it has to be known what that needs."""
    newest = workloads[-1] if workloads else None
    over = newest is None or (newest.finished_at is not None and not newest.complete)
    return over and not spec.suspend and not spec.cancel


def _pods(store: Store, key: JobKey) -> tuple[PodFacts, ...]:
    living = tuple(reading.pod(body) for body in store.pods(key))
    return (*living, *(reading.pod(body, gone_at) for body, gone_at in store.gone_pods(key)))


@dataclass(frozen=True, slots=True)
class _Needs:
    """What an attempt needs that somebody else makes."""

    missing: tuple[Missing, ...] = ()
    unshared: tuple[str, ...] = ()
    parent: Parent | None = None


async def _needs(client: Client, key: JobKey, spec: FineTuneJobSpec) -> _Needs:
    named = {(what.kind, what.name, what.key): what for what in volumes.required(spec)}
    missing, unshared = [], []
    for what in named.values():
        found = await _look_for(client, key.namespace, what)
        if isinstance(found, Missing):
            missing.append(found)
        elif what.kind == CLAIM and not SHARED & set((found.get("spec") or {}).get("accessModes") or ()):
            unshared.append(what.name)
    name = spec.model.from_job
    parent = await ancestry.parent(client, key.namespace, name) if name else None
    return _Needs(tuple(missing), tuple(unshared), parent)


async def _look_for(client: Client, namespace: str, what: Required) -> Missing | Body:
    """Return an object, or what is missing of it."""
    try:
        body = await client.get(RESOURCES[what.kind], namespace, what.name)
    except NotFound:
        return Missing(what)
    names = (body.get("data") or {}).keys() | (body.get("binaryData") or {}).keys()
    return body if what.key is None or what.key in names else Missing(what, tuple(sorted(names)))


async def _trouble(
    client: Client, key: JobKey, newest: tuple[Workload, tuple[PodFacts, ...]], now: float
) -> Trouble | None:
    """Return what Events tell about an attempt that does not start, where its Job and pods do not."""
    workload, pods = newest
    if workload.finished_at is not None or workload.suspended or workload.deleting:
        return None
    mine = [one for one in pods if one.attempt == workload.attempt and one.gone_at is None]
    waits = [one for one in mine if one.started_at is None and not one.unschedulable]
    late = next((one for one in waits if one.created_at + CREATING_SECONDS <= now), None)
    if late is not None:
        return await _warning(client, key.namespace, late.uid)
    since = workload.started_at if workload.started_at is not None else workload.created_at
    if len(mine) < workload.pods and now - since >= NO_POD_SECONDS:
        return await _warning(client, key.namespace, workload.uid)
    return None


async def _warning(client: Client, namespace: str, uid: str) -> Trouble | None:
    try:
        found = await client.list(EVENTS, namespace, field_selector=f"involvedObject.uid={uid},type=Warning")
    except Rejected:  # a role of an older release: the state of the pod has to do
        return None
    newest = max(found, key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""), default=None)
    return Trouble(newest.get("reason", ""), newest.get("message", "")) if newest else None
