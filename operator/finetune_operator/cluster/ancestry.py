"""Reads the job that another one goes on from, and through all jobs before it the model it began with."""

from __future__ import annotations

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


async def parent(client: Client, namespace: str, name: str) -> Parent:
    """Return what is known of a job by its name; `found` is false where there is none."""
    body = await _read(client, namespace, name)
    if body is None:
        return Parent(found=False)
    status, spec = reading.status(body), reading.spec(body, Profiles())
    ended = finished(status)
    if not ended or not isinstance(spec, FineTuneJobSpec):
        return Parent(found=True, finished=ended)
    origin, lost = await _origin(client, namespace, spec)
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
        return await client.get(JOBS, namespace, name)
    except NotFound:
        return None


def _artifact(status: FineTuneJobStatus, kind: OutputFormat) -> ClaimPath | None:
    """Return where an artifact lies, or None where no claim holds it."""
    found = status.result.artifacts if status.result else ()
    for uri in (one.uri for one in found if one.kind == kind and one.uri.startswith(ON_CLAIM)):
        name, _, path = uri.removeprefix(ON_CLAIM).partition("/")
        return ClaimPath(name=name, path=path or None)
    return None
