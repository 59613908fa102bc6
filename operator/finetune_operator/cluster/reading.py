"""Reads the facts of a decision out of API objects. Pure: bodies in, facts out.

A JobSet is read as the one Job that it stands for, so that nobody else has to tell them apart; its kind stays, by
which it is found again. Not here: making one (`manifests.jobset`).
"""

from __future__ import annotations

import json
import typing

from pydantic import ValidationError

from finetune_operator.api import keys, timestamps
from finetune_operator.api.identity import JobKey, JobMeta
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.cluster.store import Body, attempt_of, rank_of
from finetune_operator.planning.profiles import Profiles
from finetune_operator.reconcile.snapshot import Ending, InvalidSpec, PodFacts, Workload

TRAINER = "trainer"

ENDINGS = {"Completed": "Complete"}
"""What a JobSet calls otherwise than a Job."""


def meta(key: JobKey, body: Body) -> JobMeta:
    """Return what decisions rest on of a FineTuneJob's metadata."""
    metadata = body["metadata"]
    return JobMeta(
        key=key,
        generation=metadata.get("generation", 0),
        created_at=timestamps.parse(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        version=metadata.get("resourceVersion", ""),
    )


def spec(body: Body, profiles: Profiles) -> FineTuneJobSpec | InvalidSpec:
    """Return a job's spec, with what the administrator decides where it says nothing."""
    try:
        return profiles.completed(FineTuneJobSpec.model_validate_json(json.dumps(body.get("spec", {}))))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return InvalidSpec(f"spec.{where}: {first['msg']}")


def status(body: Body) -> FineTuneJobStatus:
    """Return the status last written, as far as this version can read it: a newer one may have said more."""
    said = body.get("status") or {}
    try:
        return _status(said)
    except ValidationError as error:
        strange = {problem["loc"][0] for problem in error.errors()}
        return _status({name: value for name, value in said.items() if name not in strange})


def _status(said: Body) -> FineTuneJobStatus:
    return FineTuneJobStatus.model_validate_json(json.dumps(said), extra="ignore")


def as_job(body: Body) -> Body:
    """Return a JobSet as a Job of the same name and uid, and a Job as it is."""
    if body.get("kind") != keys.JOBSET:
        return body
    about, status = body.get("spec") or {}, body.get("status") or {}
    inner: list[Body] = about.get("replicatedJobs") or []
    pods = inner[0]["template"]["spec"].get("parallelism", 1) if inner else 1
    conditions = [{**one, "type": ENDINGS.get(one["type"], one["type"])} for one in status.get("conditions") or ()]
    since = _active_since(body, {one["type"]: one for one in conditions})
    return {
        "apiVersion": keys.JOBSET_VERSION,
        "kind": keys.JOBSET,
        "metadata": body["metadata"],
        "spec": {"parallelism": pods, "suspend": bool(about.get("suspend"))},
        "status": {"conditions": conditions, **({"startTime": since} if since else {})},
    }


def _active_since(body: Body, conditions: dict[str, Body]) -> str | None:
    """Return since when a JobSet is active. It notes no start, only that it is or was held back."""
    if (body.get("spec") or {}).get("suspend"):
        return None
    held = conditions.get("Suspended")
    if held is None:
        return str(body["metadata"]["creationTimestamp"])
    return str(held["lastTransitionTime"]) if held["status"] == "False" else None


def workload(body: Body) -> Workload:
    """Return the facts of a batch/v1 Job, or of a JobSet read as one (`as_job`)."""
    metadata, about, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or () if c["status"] == "True"}
    complete, failed = conditions.get("Complete"), conditions.get("Failed")
    ended, held = complete or failed, conditions.get("Suspended")
    annotations = metadata.get("annotations") or {}
    return Workload(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        attempt=attempt_of(body),
        pods=about.get("parallelism", 1),
        created_at=timestamps.parse(metadata["creationTimestamp"]),
        started_at=_time(status, "startTime"),
        suspended=bool(about.get("suspend")),
        suspended_at=_time(held, "lastTransitionTime") if held else None,
        suspended_message=(held.get("message") or "") if held else "",
        complete=complete is not None,
        failed_reason=failed.get("reason") if failed else None,
        failed_message=(failed.get("message") or "") if failed else "",
        finished_at=timestamps.parse(ended["lastTransitionTime"]) if ended else None,
        deleting="deletionTimestamp" in metadata,
        rung=_count(annotations.get(keys.ANNOTATION_RUNG)),
        memory_raises=_count(annotations.get(keys.ANNOTATION_MEMORY_RAISES)),
        change=annotations.get(keys.ANNOTATION_CHANGE),
        kind=keys.JOBSET if body.get("kind") == keys.JOBSET else "Job",
    )


def pod(body: Body, gone_at: float | None = None) -> PodFacts:
    """Return the facts of a pod; `gone_at` is when it was found to exist no more (0: the watch told)."""
    metadata, status = body["metadata"], body.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    scheduled, disrupted = conditions.get("PodScheduled", {}), conditions.get("DisruptionTarget", {})
    state = _container(status)
    waiting, running, ended = state.get("waiting") or {}, state.get("running"), state.get("terminated")
    return PodFacts(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        attempt=attempt_of(body),
        rank=rank_of(body),
        phase=status.get("phase", ""),
        node=(body.get("spec") or {}).get("nodeName", ""),
        ip=status.get("podIP", ""),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        unschedulable=scheduled.get("message", "") if scheduled.get("status") == "False" else "",
        disruption=disrupted.get("reason", "") if disrupted.get("status") == "True" else "",
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        created_at=timestamps.parse(metadata["creationTimestamp"]),
        started_at=_time(running or ended or {}, "startedAt"),
        ending=_ending(ended) if ended else None,
        deleting="deletionTimestamp" in metadata,
        gone_at=gone_at,
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
        finished_at=_time(terminated, "finishedAt") or 0.0,
    )


def _time(body: Body, name: str) -> float | None:
    return timestamps.parse(body[name]) if body.get(name) else None


def _count(text: object) -> int:
    return int(str(text)) if str(text).isdecimal() else 0
