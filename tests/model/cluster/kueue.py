"""Kueue as the operator meets it: it alone lets a Job begin that is in a queue, and may take its place back.

Modelled: the label, `spec.suspend`, and that a Job which has ended or is being deleted is left alone. Not modelled:
which Job is let in before which.
"""

from __future__ import annotations

from cluster import objects
from cluster.api_server import ApiServer
from cluster.kinds import JOB
from cluster.objects import Body
from finetune_operator.api import keys

ME = "kueue"


def waiting(api: ApiServer) -> list[Body]:
    """Return the Jobs that wait for a place."""
    return [job for job in _queued(api) if job["spec"]["suspend"]]


def holding(api: ApiServer) -> list[Body]:
    """Return the Jobs that have a place."""
    return [job for job in _queued(api) if not job["spec"]["suspend"]]


def admit(api: ApiServer, job: Body) -> None:
    _set(api, job, suspend=False)


def evict(api: ApiServer, job: Body) -> None:
    _set(api, job, suspend=True)


def _queued(api: ApiServer) -> list[Body]:
    return [job for job in api.all(JOB) if is_queued(job) and not objects.deleting(job) and not _over(job)]


def is_queued(job: Body) -> bool:
    return keys.LABEL_QUEUE in (job["metadata"].get("labels") or {})


def _over(job: Body) -> bool:
    return any(objects.is_true(job, end) for end in ("Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"))


def _set(api: ApiServer, job: Body, *, suspend: bool) -> None:
    path = f"{JOB.prefix}/namespaces/{objects.namespace(job)}/{JOB.plural}/{objects.name(job)}"
    api.request("PATCH", path, {"spec": {"suspend": suspend}}, who=ME)
