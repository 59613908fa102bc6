"""Reads API objects into a Snapshot; `observe` is the entry."""

from __future__ import annotations

import json
import typing

from pydantic import ValidationError

from finetune_operator.api import keys, timestamps
from finetune_operator.api.identity import JobKey, JobMeta
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.cluster.client import RESOURCES, Client
from finetune_operator.cluster.errors import NotFound
from finetune_operator.cluster.store import Body, Store
from finetune_operator.manifests import volumes
from finetune_operator.manifests.volumes import Required
from finetune_operator.planning.profiles import Profiles
from finetune_operator.reconcile.decide import finished
from finetune_operator.reconcile.snapshot import Ending, InvalidSpec, Missing, PodFacts, Snapshot, Workload

TRAINER = "trainer"


async def observe(client: Client, store: Store, key: JobKey, *, profiles: Profiles, now: float) -> Snapshot | None:
    """Return what is known of a job, or None where it no longer exists."""
    body = store.job(key)
    if body is None:
        return None
    spec, previous = _spec(body, profiles), _status(body)
    workload, pod = store.workload(key), store.pod(key)
    looking = workload is None and not finished(previous) and isinstance(spec, FineTuneJobSpec)
    return Snapshot(
        meta=_meta(key, body),
        spec=spec,
        previous=previous,
        workload=_workload(workload) if workload else None,
        pod=_pod(pod) if pod else None,
        progress=store.progress(key),
        missing=await _missing(client, key, typing.cast("FineTuneJobSpec", spec)) if looking else (),
        profiles=profiles,
        now=now,
    )


async def _missing(client: Client, key: JobKey, spec: FineTuneJobSpec) -> tuple[Missing, ...]:
    named = {(what.kind, what.name, what.key): what for what in volumes.required(spec)}
    found = [await _look_for(client, key.namespace, what) for what in named.values()]
    return tuple(missing for missing in found if missing is not None)


async def _look_for(client: Client, namespace: str, what: Required) -> Missing | None:
    if what.key is None:
        return None if await client.exists(RESOURCES[what.kind], namespace, what.name) else Missing(what)
    try:
        body = await client.get(RESOURCES[what.kind], namespace, what.name)
    except NotFound:
        return Missing(what)
    keys = (body.get("data") or {}).keys() | (body.get("binaryData") or {}).keys()
    return None if what.key in keys else Missing(what, tuple(sorted(keys)))


def _meta(key: JobKey, body: Body) -> JobMeta:
    metadata = body["metadata"]
    return JobMeta(
        key=key,
        generation=metadata.get("generation", 0),
        created_at=timestamps.parse(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
    )


def _spec(body: Body, profiles: Profiles) -> FineTuneJobSpec | InvalidSpec:
    try:
        return profiles.completed(FineTuneJobSpec.model_validate_json(json.dumps(body.get("spec", {}))))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return InvalidSpec(f"spec.{where}: {first['msg']}")


def _status(body: Body) -> FineTuneJobStatus:
    """Return the status last written; one that cannot be read (another version's) counts as none."""
    try:
        return FineTuneJobStatus.model_validate_json(json.dumps(body.get("status") or {}))
    except ValidationError:
        return FineTuneJobStatus()


def _workload(body: Body) -> Workload:
    status = body.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or () if c["status"] == "True"}
    complete, failed = conditions.get("Complete"), conditions.get("Failed")
    ended = complete or failed
    return Workload(
        name=body["metadata"]["name"],
        attempt=int(body["metadata"]["labels"][keys.LABEL_ATTEMPT]),
        created_at=timestamps.parse(body["metadata"]["creationTimestamp"]),
        complete=complete is not None,
        failed_reason=failed.get("reason") if failed else None,
        failed_message=(failed.get("message") or "") if failed else "",
        finished_at=timestamps.parse(ended["lastTransitionTime"]) if ended else None,
    )


def _pod(body: Body) -> PodFacts:
    status = body.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    scheduled, disrupted = conditions.get("PodScheduled", {}), conditions.get("DisruptionTarget", {})
    state = _container(status)
    waiting, running, ended = state.get("waiting") or {}, state.get("running"), state.get("terminated")
    started = (running or ended or {}).get("startedAt")
    return PodFacts(
        name=body["metadata"]["name"],
        phase=status.get("phase", ""),
        node=(body.get("spec") or {}).get("nodeName", ""),
        ip=status.get("podIP", ""),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        unschedulable=scheduled.get("message", "") if scheduled.get("status") == "False" else "",
        disruption=disrupted.get("reason", "") if disrupted.get("status") == "True" else "",
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        started_at=timestamps.parse(started) if started else None,
        ending=_ending(ended) if ended else None,
    )


def _container(status: Body) -> Body:
    for container in status.get("containerStatuses") or ():
        if container["name"] == TRAINER:
            return typing.cast("Body", container.get("state") or {})
    return {}


def _ending(terminated: Body) -> Ending:
    return Ending(
        exit_code=terminated.get("exitCode", 0),
        reason=terminated.get("reason", ""),
        message=terminated.get("message", ""),
        finished_at=timestamps.parse(terminated["finishedAt"]) if terminated.get("finishedAt") else 0.0,
    )
