"""Reads API objects into a Snapshot; `observe` is the entry.

The watches tell most of it. Read live is what they cannot tell: whether an attempt is gone that they know nothing of,
and what a job needs before it begins.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from finetune_trainer.contract import Progress

from finetune_operator.api import keys
from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.cluster import ancestry, reading
from finetune_operator.cluster.client import JOBS, PODS, RESOURCES, Client
from finetune_operator.cluster.errors import NotFound
from finetune_operator.cluster.queues import told_of
from finetune_operator.cluster.store import Body, Look, Store, attempt_of, owner_key
from finetune_operator.manifests import volumes
from finetune_operator.manifests.names import INSPECTION
from finetune_operator.manifests.volumes import CLAIM, Required
from finetune_operator.planning.profiles import Profiles
from finetune_operator.reconcile.attempts.underway import RUNNING_RESYNC, WAITING_RESYNC
from finetune_operator.reconcile.decide import finished
from finetune_operator.reconcile.snapshot import (
    Inspection,
    InvalidSpec,
    Missing,
    Parent,
    PodFacts,
    Snapshot,
    Trouble,
    Workload,
)

WRITTEN = frozenset({"ReadWriteMany"})
"""Access modes with which several nodes can write to a claim."""

SHARED = WRITTEN | {"ReadOnlyMany"}
"""Access modes with which several nodes can mount a claim."""


async def observe(client: Client, store: Store, key: JobKey, *, profiles: Profiles, now: float) -> Snapshot | None:
    """Return what is known of a job, or None where it no longer exists.

    Raises:
        ApiError: something that has to be known could not be read.
    """
    body = store.job(key)
    if body is None:
        return None
    previous = reading.status(body)
    if lost := _lost(store, key, previous):
        body = await look_at(client, store, key)
        if body is None:
            return None
        previous = reading.status(body)
    spec, meta = reading.spec(body, profiles), reading.meta(key, body)
    settled = finished(previous) or meta.deleting
    listed = not settled and (lost or _silent(store, key, now))
    if listed:
        store.resync(key, store.known(key), await look(client, key), now)
    made, pods = tuple(reading.workload(one) for one in store.workloads(key)), _pods(store, key)
    workloads = tuple(one for one in made if one.attempt != INSPECTION)
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
        pods=tuple(one for one in pods if one.attempt != INSPECTION),
        inspection=_inspection(made, pods),
        listed=listed,
        progress=said if said is not None and said.attempt == current and not _old(said, spec, workloads) else None,
        missing=asked.missing,
        unshared=asked.unshared,
        parent=asked.parent,
        trouble=None if settled or not made else _trouble(store, key, made[-1], pods),
        profiles=profiles,
        now=now,
    )


async def look(client: Client, key: JobKey) -> Look:
    """Read all Jobs and pods of a job from the API server; its JobSets, where there may be some."""
    mine = f"{keys.LABEL_JOB_UID}={key.uid}"
    jobs = await client.list(RESOURCES["Job"], key.namespace, label_selector=mine)
    if client.jobsets:
        with contextlib.suppress(NotFound):  # the definition went meanwhile, and all JobSets with it
            jobs += await client.list(RESOURCES[keys.JOBSET], key.namespace, label_selector=mine)
    pods = await client.list(PODS, key.namespace, label_selector=mine)
    return Look(*(tuple(reading.as_job(body) for body in found if owner_key(body) == key) for found in (jobs, pods)))


async def look_at(client: Client, store: Store, key: JobKey) -> Body | None:
    """Read the job itself, where a watch is late, and take it in; one that is gone is forgotten."""
    with contextlib.suppress(NotFound):
        found = await client.get(JOBS, key.namespace, key.name)
        if found["metadata"]["uid"] == key.uid:
            store.keep_job(found)
            return store.job(key)
    store.forget_job(key)
    return None


def _lost(store: Store, key: JobKey, previous: FineTuneJobStatus) -> bool:
    """Whether status tells of a Job that the watches do not know: of an attempt that has not ended, or an inspection.

    Somebody took it away, or it went with the FineTuneJob, while a watch that is lost tells of neither.
    """
    newest, last = store.workload(key), previous.attempts[-1] if previous.attempts else None
    if finished(previous):
        return False
    if last is not None and last.end_time is None:
        return newest is None or attempt_of(newest) < last.number
    reading_model = any(one.reason == Reason.INSPECTING for one in previous.conditions)
    return newest is None and reading_model


def _silent(store: Store, key: JobKey, now: float) -> bool:
    """Whether the watches have said nothing for long of a Job that has not ended."""
    newest, looked = store.workload(key), store.looked(key, now)
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


def _old(said: Progress, spec: FineTuneJobSpec | InvalidSpec, workloads: tuple[Workload, ...]) -> bool:
    """Whether a trainer's word is from before its queue gave the attempt its place again: another trainer said it.

    Only a queue starts an attempt twice. Else nothing is compared with the clock of a node.
    """
    queued = isinstance(spec, FineTuneJobSpec) and spec.queue_name is not None
    if not queued or not workloads or workloads[-1].suspended:
        return False
    since = workloads[-1].started_at
    return since is None or said.updated_at < since


def _inspection(made: tuple[Workload, ...], pods: tuple[PodFacts, ...]) -> Inspection:
    """Return what reads the model's config.json, apart from the attempts."""
    workload = next((one for one in made if one.attempt == INSPECTION), None)
    return Inspection(workload, tuple(one for one in pods if one.attempt == INSPECTION))


@dataclass(frozen=True, slots=True)
class _Needs:
    """What an attempt needs that somebody else makes."""

    missing: tuple[Missing, ...] = ()
    unshared: tuple[str, ...] = ()
    parent: Parent | None = None


async def _needs(client: Client, key: JobKey, spec: FineTuneJobSpec) -> _Needs:
    named: dict[tuple[str, str, str | None], Required] = {}
    for what in volumes.required(spec):  # once each; the last, unless it only reads what another one writes
        place = (what.kind, what.name, what.key)
        before = named.get(place, what)
        named[place] = before if before.written else what
    missing, unshared = [], []
    for what in named.values():
        found = await _look_for(client, key.namespace, what)
        if isinstance(found, Missing):
            missing.append(found)
        elif what.kind == CLAIM and _modes(found).isdisjoint(WRITTEN if what.written else SHARED):
            unshared.append(what.name)
    name = spec.model.from_job
    parent = await ancestry.parent(client, key, name) if name else None
    return _Needs(tuple(missing), tuple(unshared), parent)


def _modes(claim: Body) -> frozenset[str]:
    return frozenset((claim.get("spec") or {}).get("accessModes") or ())


async def _look_for(client: Client, namespace: str, what: Required) -> Missing | Body:
    """Return an object, or what is missing of it."""
    try:
        body = await client.get_shared(RESOURCES[what.kind], namespace, what.name)
    except NotFound:
        return Missing(what)
    names = (body.get("data") or {}).keys() | (body.get("binaryData") or {}).keys()
    return body if what.key is None or what.key in names else Missing(what, tuple(sorted(names)))


def _trouble(store: Store, key: JobKey, newest: Workload, pods: tuple[PodFacts, ...]) -> Trouble | None:
    """Return what Events tell about an attempt that does not start, where its Job and pods do not (`warnings`).

    Of one that a queue holds back, what that says (`queues`).
    """
    if (told := store.trouble(key)) is None or newest.finished_at is not None or newest.deleting:
        return None
    if newest.suspended:
        return told[1] if told[0] == told_of(newest.uid) else None
    mine = [one for one in pods if one.attempt == newest.attempt and one.gone_at is None]
    late = {one.uid for one in mine if one.started_at is None}
    if len(mine) < newest.pods:
        late.add(newest.uid)
    return told[1] if told[0] in late else None
