"""Carries out what was decided; `execute` is the entry. Repeating any of it is harmless."""

from __future__ import annotations

from finetune_operator.cluster.client import RESOURCES, Client
from finetune_operator.cluster.errors import Conflict, Rejected
from finetune_operator.cluster.store import Store
from finetune_operator.reconcile.actions import Create, Decision, Refused, Result


async def execute(client: Client, store: Store, decision: Decision) -> Result:
    """Carry out all actions in order; the first that the API server refuses for good stops the rest.

    Raises:
        ApiError: a request that may succeed later (`Unreachable`, `Overloaded`).
    """
    created = 0
    for action in decision.actions:
        try:
            created += await _create(client, store, action)
        except Rejected as error:
            kind, name = action.manifest["kind"], action.manifest["metadata"]["name"]
            return Result(created=created, refused=Refused(kind, name, error.code, error.message))
    return Result(created=created)


async def _create(client: Client, store: Store, action: Create) -> int:
    manifest = action.manifest
    kind, namespace, name = manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]
    new = 1
    try:
        body = await client.create(RESOURCES[kind], namespace, manifest)
    except Conflict:  # an earlier pass made it: the name holds the job's uid, so it is ours
        new = 0
        if kind != "Job":
            return new
        body = await client.get(RESOURCES[kind], namespace, name)
    if kind == "Job":
        store.keep_workload(body)  # not to be created again before the watch tells of it
    return new
