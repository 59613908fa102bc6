"""Carries out what was decided; `execute` is the entry. Repeating any of it is harmless."""

from __future__ import annotations

from dataclasses import replace

from finetune_operator.api import keys
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster import reading
from finetune_operator.cluster.client import JOBS, PODS, RESOURCES, Body, Client, Resource
from finetune_operator.cluster.errors import Conflict, NotFound, Rejected
from finetune_operator.cluster.observe import look
from finetune_operator.cluster.store import Store, attempt_of
from finetune_operator.manifests.volumes import CLAIM
from finetune_operator.reconcile.actions import Create, Decision, Delete, Refused, Result

KINDS = {**RESOURCES, "Pod": PODS, keys.KIND: JOBS}

WORKLOADS = frozenset({"Job", keys.JOBSET})
"""What an attempt may be."""


async def execute(client: Client, store: Store, key: JobKey, decision: Decision, *, now: float) -> Result:
    """Carry out all actions in order; the first that the API server refuses for good stops the rest.

    Raises:
        ApiError: a request that may succeed later (`Unreachable`, `Overloaded`).
    """
    done = Result()
    for action in decision.actions:
        if isinstance(action, Create):
            try:
                new = await _create(client, store, action)
            except Rejected as error:
                kind, name = action.manifest["kind"], action.manifest["metadata"]["name"]
                return replace(done, refused=Refused(kind, name, error.code, error.message))
            a_claim = new and action.manifest["kind"] == CLAIM
            done = replace(done, created=done.created + new, new_claim=done.new_claim or a_claim)
        elif isinstance(action, Delete):
            try:
                await _delete(client, store, action)
            except Rejected as error:
                return replace(
                    done, refused=Refused(action.kind, action.name, error.code, error.message, deleting=True)
                )
        elif not await _nothing_lives(client, store, key, now):
            return replace(done, outdated=True)
    return done


async def _create(client: Client, store: Store, action: Create) -> bool:
    """Create an object; return whether it is new."""
    manifest = action.manifest
    kind, namespace, name = manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]
    new = True
    try:
        body = await client.create(RESOURCES[kind], namespace, manifest)
    except Conflict:  # an earlier pass made it: the name holds the job's uid, so it is ours
        new, body = False, await client.get(RESOURCES[kind], namespace, name)
        if kind == CLAIM and "deletionTimestamp" in body["metadata"]:
            raise Rejected(409, "is being deleted; a new one is made once it is gone") from None
    if kind in WORKLOADS:
        store.keep_workload(reading.as_job(body))  # not to be created again before the watch tells of it
    return new


async def _delete(client: Client, store: Store, action: Delete) -> None:
    resource: Resource = KINDS[action.kind]
    try:
        body = await client.delete(
            resource, action.namespace, action.name, uid=action.uid, propagation=action.propagation.value
        )
    except (NotFound, Conflict):  # it is gone; what has its name now is another
        return
    if action.kind in WORKLOADS and _still_there(body, action):
        store.keep_workload(reading.as_job(body))  # not to be deleted again before the watch tells of it


def _still_there(body: Body, action: Delete) -> bool:
    metadata = body.get("metadata") or {}
    return metadata.get("uid") == action.uid and "deletionTimestamp" in metadata


async def _nothing_lives(client: Client, store: Store, key: JobKey, now: float) -> bool:
    """Read all Jobs and pods of a job live; return whether none of them may still run."""
    before = store.known(key)
    shown = await look(client, key)
    store.resync(key, before, shown, now)
    jobs_over = all(reading.workload(body).finished_at is not None for body in shown.workloads if attempt_of(body))
    return jobs_over and not any(reading.pod(body).alive for body in shown.pods if attempt_of(body))
