"""The newest known state of every watched object and every trainer, by the job it belongs to.

Filled by the watches and by what the operator itself creates; what it holds may be a moment old, so everything done on
its ground is guarded by deterministic names and uids.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator

from finetune_trainer.contract import Progress

from finetune_operator.api import keys
from finetune_operator.api.identity import JobKey

Body = typing.Mapping[str, typing.Any]


def job_key(body: Body) -> JobKey:
    """Return the key of a FineTuneJob."""
    metadata = body["metadata"]
    return JobKey(metadata["namespace"], metadata["name"], metadata["uid"])


def owner_key(body: Body) -> JobKey | None:
    """Return the key of the job that a child belongs to, by its labels; None where the operator wrote none.

    Anybody may label a pod. Such a pod can only mislead its own namespace's job, and must not stop the operator.
    """
    metadata = body["metadata"]
    labels = metadata.get("labels") or {}
    name, uid = labels.get(keys.LABEL_JOB), labels.get(keys.LABEL_JOB_UID)
    known = name and uid and str(labels.get(keys.LABEL_ATTEMPT, "")).isdecimal()
    return JobKey(metadata["namespace"], str(name), str(uid)) if known else None


class Store:
    """Objects by job. One event loop uses it; it needs no lock."""

    def __init__(self) -> None:
        self._jobs: dict[JobKey, Body] = {}
        self._workloads: dict[JobKey, dict[str, Body]] = {}
        self._pods: dict[JobKey, dict[str, Body]] = {}
        self._progress: dict[JobKey, Progress] = {}

    def job(self, key: JobKey) -> Body | None:
        """Return the FineTuneJob."""
        return self._jobs.get(key)

    def workload(self, key: JobKey) -> Body | None:
        """Return the newest attempt's Job."""
        return _newest(self._workloads.get(key, {}))

    def pod(self, key: JobKey) -> Body | None:
        """Return the newest pod of the newest attempt."""
        return _newest(self._pods.get(key, {}))

    def progress(self, key: JobKey) -> Progress | None:
        """Return what the trainer said last."""
        return self._progress.get(key)

    def jobs(self) -> Iterator[tuple[JobKey, Body]]:
        """Iterate over all FineTuneJobs, as they are now."""
        return iter(list(self._jobs.items()))

    def keep_job(self, body: Body) -> JobKey:
        """Take in a FineTuneJob."""
        key = job_key(body)
        if not _older(body, self._jobs.get(key)):
            self._jobs[key] = body
        return key

    def forget_job(self, key: JobKey) -> None:
        """Drop a FineTuneJob and all that belongs to it."""
        for kept in (self._jobs, self._workloads, self._pods, self._progress):
            kept.pop(key, None)

    def keep_workload(self, body: Body) -> JobKey | None:
        """Take in a Job; return whose it is."""
        return _keep(self._workloads, body)

    def keep_pod(self, body: Body) -> JobKey | None:
        """Take in a pod; return whose it is."""
        return _keep(self._pods, body)

    def forget_workload(self, body: Body) -> JobKey | None:
        """Drop a Job; return whose it was."""
        return _forget(self._workloads, body)

    def forget_pod(self, body: Body) -> JobKey | None:
        """Drop a pod; return whose it was."""
        return _forget(self._pods, body)

    def keep_progress(self, key: JobKey, progress: Progress) -> None:
        """Take in what a trainer said."""
        self._progress[key] = progress


def _keep(kept: dict[JobKey, dict[str, Body]], body: Body) -> JobKey | None:
    key = owner_key(body)
    if key is not None:
        objects = kept.setdefault(key, {})
        name = body["metadata"]["name"]
        if not _older(body, objects.get(name)):
            objects[name] = body
    return key


def _forget(kept: dict[JobKey, dict[str, Body]], body: Body) -> JobKey | None:
    key = owner_key(body)
    if key is not None and key in kept:
        kept[key].pop(body["metadata"]["name"], None)
        if not kept[key]:
            del kept[key]
    return key


def _older(body: Body, known: Body | None) -> bool:
    """Whether a body is an earlier state of the object that is known: same uid, lower resourceVersion."""
    if known is None or body["metadata"].get("uid") != known["metadata"].get("uid"):
        return False
    return _version(body) < _version(known)


def _version(body: Body) -> int:
    text = str(body["metadata"].get("resourceVersion", "0"))
    return int(text) if text.isdigit() else 0


def _newest(objects: dict[str, Body]) -> Body | None:
    def age(body: Body) -> tuple[int, str, str]:
        metadata = body["metadata"]
        return int(metadata["labels"][keys.LABEL_ATTEMPT]), metadata.get("creationTimestamp") or "", metadata["name"]

    return max(objects.values(), key=age) if objects else None
