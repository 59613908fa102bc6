"""Reads the job that another one goes on from, and through all jobs before it the model it began with."""

from __future__ import annotations

from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.reasons import Phase
from finetune_operator.api.v1alpha1.sources import ClaimPath
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.api.v1alpha1.storage import OutputFormat
from finetune_operator.cluster import reading
from finetune_operator.cluster.client import JOBS, Body, Client
from finetune_operator.cluster.errors import NotFound
from finetune_operator.planning.profiles import Profiles
from finetune_operator.reconcile.decide import finished
from finetune_operator.reconcile.snapshot import Parent

GENERATIONS = 16
"""Jobs that are followed from one to the one before it, at most: a chain may be a ring."""

ON_CLAIM = "pvc://"


async def parent(client: Client, key: JobKey, name: str) -> Parent:
    """Return what is known of the job that one goes on from, by its name; `found` is false where there is none."""
    body = await _read(client, key.namespace, name)
    if body is None:
        return Parent(found=False)
    status, spec = reading.status(body), reading.spec(body, Profiles())
    ended = finished(status)
    if not ended:
        return Parent(found=True, ring=await _ring(client, key, name, body))
    if not isinstance(spec, FineTuneJobSpec):
        return Parent(found=True, finished=True)
    origin, lost = await _origin(client, key.namespace, spec)
    return Parent(
        found=True,
        finished=True,
        succeeded=status.phase is Phase.SUCCEEDED,
        method=status.plan.method if status.plan else "",
        base=origin.model.source,
        lost=lost,
        adapter=_artifact(status, OutputFormat.ADAPTER),
        merged=_artifact(status, OutputFormat.MERGED),
    )


async def _ring(client: Client, key: JobKey, name: str, body: Body | None) -> tuple[str, ...]:
    """Return the jobs from one to the one that waits for a job itself; none where one of them began, or waits for none.

    Only such jobs wait for each other for ever: what has begun once may end.
    """
    names: list[str] = []
    while body is not None and name not in names and len(names) < GENERATIONS:
        names.append(name)
        before = _waits_for(body)
        if before is None:
            return ()
        if before == key.name:
            return tuple(names)
        name, body = before, await _read(client, key.namespace, before)
    return ()


def _waits_for(body: Body) -> str | None:
    """Return the job that one goes on from which has not begun."""
    spec, status = reading.spec(body, Profiles()), reading.status(body)
    if not isinstance(spec, FineTuneJobSpec) or status.attempts or finished(status):
        return None
    return spec.model.from_job


async def _origin(client: Client, namespace: str, spec: FineTuneJobSpec) -> tuple[FineTuneJobSpec, str | None]:
    """Return the first job of a chain that says where its model lies, or the last and the name of what is gone."""
    for _ in range(GENERATIONS):
        before = spec.model.from_job
        if before is None or spec.model.source is not None:
            return spec, None
        body = await _read(client, namespace, before)
        earlier = reading.spec(body, Profiles()) if body is not None else None
        if not isinstance(earlier, FineTuneJobSpec):
            return spec, before
        spec = earlier
    return spec, spec.model.from_job


async def _read(client: Client, namespace: str, name: str) -> Body | None:
    try:
        return await client.get_shared(JOBS, namespace, name)
    except NotFound:
        return None


def _artifact(status: FineTuneJobStatus, kind: OutputFormat) -> ClaimPath | None:
    """Return where an artifact lies, or None where no claim holds it."""
    found = status.result.artifacts if status.result else ()
    for uri in (one.uri for one in found if one.kind == kind and one.uri.startswith(ON_CLAIM)):
        name, _, path = uri.removeprefix(ON_CLAIM).partition("/")
        return ClaimPath(name=name, path=path or None)
    return None
