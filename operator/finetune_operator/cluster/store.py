"""The newest known state of every watched object and every trainer, by the job it belongs to.

Filled by the watches and by what the operator itself creates; what it holds may be a moment old, so everything done on
its ground is guarded by deterministic names and uids. A watch may lose what vanished while it was broken, and may tell
of an object after its end: what is gone stays gone, by its uid, and `resync` takes in what a live look has shown.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Iterator

from finetune_trainer.contract import Progress

from finetune_operator.api import keys
from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.reasons import ConditionType
from finetune_operator.reconcile.snapshot import Trouble

Body = typing.Mapping[str, typing.Any]

RANK = "batch.kubernetes.io/job-completion-index"
"""Kubernetes' label and annotation of the pods of an Indexed Job."""


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


def attempt_of(body: Body) -> int:
    """Return which attempt a child belongs to."""
    return int(body["metadata"]["labels"][keys.LABEL_ATTEMPT])


def rank_of(body: Body) -> int:
    """Return the index of a pod within its attempt; 0 where it is alone."""
    text = str((body["metadata"].get("labels") or {}).get(RANK, "0"))
    return int(text) if text.isdecimal() else 0


class Children:
    """Objects of one kind that belong to jobs: those that live, and the last state of those that are gone."""

    def __init__(self) -> None:
        self._living: dict[JobKey, dict[str, Body]] = {}
        self._gone: dict[JobKey, dict[str, tuple[Body, float]]] = {}

    def living(self, key: JobKey) -> tuple[Body, ...]:
        """Return those that live."""
        return tuple(self._living.get(key, {}).values())

    def gone(self, key: JobKey) -> tuple[tuple[Body, float], ...]:
        """Return the last known state of those that are gone, and when that was found; 0 where the watch told."""
        return tuple(self._gone.get(key, {}).values())

    def keep(self, body: Body) -> JobKey | None:
        """Take in an object; return whose it is."""
        key = owner_key(body)
        if key is None:
            return None
        uid, objects = _uid(body), self._living.setdefault(key, {})
        buried = self._gone.get(key, {}).get(uid)
        if buried is not None:
            if not _older(body, buried[0]):  # told after its end
                self._gone[key][uid] = (body, buried[1])
        elif not _older(body, objects.get(uid)):
            objects[uid] = body
        return key

    def forget(self, body: Body, now: float = 0.0) -> JobKey | None:
        """Take in that an object is gone, with its last state; return whose it was."""
        key = owner_key(body)
        if key is None:
            return None
        uid, gone = _uid(body), self._gone.setdefault(key, {})
        known = self._living.get(key, {}).pop(uid, None)
        buried, since = gone.get(uid, (None, now))
        last = max((one for one in (buried, known, body) if one is not None), key=_version)
        gone[uid] = (last, min(since, now))
        return key

    def resync(self, before: Iterable[Body], shown: Iterable[Body], now: float) -> None:
        """Take in what a live look has shown; what was known before it and was not shown is gone."""
        alive = {_uid(body): body for body in shown}
        for body in before:
            if _uid(body) not in alive:
                self.forget(body, now)
        for body in alive.values():
            self.keep(body)

    def remove(self, body: Body) -> JobKey | None:
        """Take in that an object is gone whose job is unknown, so that nobody will ask for it; return whose it was."""
        key = owner_key(body)
        if key is not None and key in self._living:
            self._living[key].pop(_uid(body), None)
            if not self._living[key]:
                self.drop(key)
        return key

    def drop(self, key: JobKey) -> None:
        """Drop all of a job."""
        self._living.pop(key, None)
        self._gone.pop(key, None)

    def bury(self, key: JobKey, before: int) -> None:
        """Keep no more than the uid of what is gone of earlier attempts: its end is remembered in status."""
        for uid, (body, moment) in self._gone.get(key, {}).items():
            if attempt_of(body) < before and "status" in body:
                self._gone[key][uid] = ({"metadata": body["metadata"]}, moment)


class Look(typing.NamedTuple):
    """The Jobs and pods of one job, at one moment."""

    workloads: tuple[Body, ...]
    pods: tuple[Body, ...]


T = typing.TypeVar("T")


class Derived(typing.Generic[T]):
    """What a function says of each job, by which of them have changed since it was asked."""

    def __init__(self) -> None:
        self.values: dict[JobKey, T] = {}
        self.changed: set[JobKey] = set()

    def ask(self, of: Callable[[JobKey], T | None]) -> None:
        """Ask the function again of the jobs that have changed."""
        for key in self.changed:
            if (value := of(key)) is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value
        self.changed.clear()


class Store:
    """Objects by job. One event loop uses it; it needs no lock."""

    def __init__(self) -> None:
        self._jobs: dict[JobKey, Body] = {}
        self._heirs: dict[tuple[str, str], set[JobKey]] = {}
        self._workloads = Children()
        self._pods = Children()
        self._progress: dict[JobKey, Progress] = {}
        self._looked: dict[JobKey, float] = {}
        self._troubles: dict[JobKey, tuple[str, Trouble]] = {}
        self._derived: dict[object, Derived[typing.Any]] = {}

    def job(self, key: JobKey) -> Body | None:
        """Return the FineTuneJob."""
        return self._jobs.get(key)

    def workload(self, key: JobKey) -> Body | None:
        """Return the newest attempt's Job."""
        return max(self._workloads.living(key), key=attempt_of, default=None)

    def workloads(self, key: JobKey) -> tuple[Body, ...]:
        """Return the Jobs of all attempts, oldest first."""
        return tuple(sorted(self._workloads.living(key), key=attempt_of))

    def pod(self, key: JobKey) -> Body | None:
        """Return the pod that reports: of the newest attempt, rank 0, of several the newest."""

        def place(body: Body) -> tuple[int, int, str, str]:
            metadata = body["metadata"]
            return attempt_of(body), -rank_of(body), metadata.get("creationTimestamp") or "", metadata["name"]

        return max(self._pods.living(key), key=place, default=None)

    def pods(self, key: JobKey) -> tuple[Body, ...]:
        """Return the pods of all attempts that exist."""
        return self._pods.living(key)

    def gone_pods(self, key: JobKey) -> tuple[tuple[Body, float], ...]:
        """Return the last state of pods of the newest attempt that exist no more, and when that was found."""
        newest = self.workload(key)
        if newest is not None:
            self._pods.bury(key, attempt_of(newest))
        return tuple((body, moment) for body, moment in self._pods.gone(key) if "status" in body)

    def progress(self, key: JobKey) -> Progress | None:
        """Return what the trainer said last."""
        return self._progress.get(key)

    def trouble(self, key: JobKey) -> tuple[str, Trouble] | None:
        """Return what Events told of an attempt that is late, and the uid of the Job or pod that they were about."""
        return self._troubles.get(key)

    def looked(self, key: JobKey, now: float) -> float:
        """Return when a job's children were read (seconds since the epoch): at first by the watches, just now."""
        return self._looked.setdefault(key, now)

    def known(self, key: JobKey) -> Look:
        """Return what is known to live of a job's children."""
        return Look(self._workloads.living(key), self._pods.living(key))

    def jobs(self) -> Iterator[tuple[JobKey, Body]]:
        """Iterate over all FineTuneJobs, as they are now."""
        return iter(list(self._jobs.items()))

    def each(self, of: Callable[[Store, JobKey], T | None]) -> list[tuple[JobKey, T]]:
        """Return what a function says of the FineTuneJobs, without those of which it says None.

        It is asked again only of jobs that are new or whose Jobs or pods have changed: nothing else may go into its
        answer, no clock and no status. With thousands of jobs, asking it of all in every round is what costs most.
        """
        derived = self._derived.get(of)
        if derived is None:
            derived = self._derived[of] = Derived()
            derived.changed.update(self._jobs)
        derived.ask(lambda key: of(self, key) if key in self._jobs else None)
        return list(derived.values.items())

    def _changed(self, key: JobKey | None) -> JobKey | None:
        """Take in that a job's children have changed; return its key."""
        if key is not None:
            for derived in self._derived.values():
                derived.changed.add(key)
        return key

    def keep_job(self, body: Body) -> JobKey:
        """Take in a FineTuneJob."""
        key = job_key(body)
        if key not in self._jobs:
            self._changed(key)
        if not _older(body, self._jobs.get(key)):
            self._jobs[key] = body
            if (parent := _parent(key, body))[1]:
                self._heirs.setdefault(parent, set()).add(key)
        return key

    def heirs(self, body: Body, *, gone: bool = False) -> tuple[JobKey, ...]:
        """Return the jobs that go on from a job, where it is news to them: it is new, has ended, or is gone."""
        conditions = (body.get("status") or {}).get("conditions")
        if conditions is not None and not gone and not any(_is_end(one) for one in conditions):
            return ()
        return tuple(self._heirs.get((body["metadata"]["namespace"], body["metadata"]["name"]), ()))

    def forget_job(self, key: JobKey) -> None:
        """Drop a FineTuneJob and all that belongs to it."""
        if (parent := _parent(key, self._jobs.get(key))) in self._heirs:
            self._heirs[parent].discard(key)
            if not self._heirs[parent]:
                del self._heirs[parent]
        for kept in (self._jobs, self._progress, self._looked, self._troubles):
            kept.pop(key, None)
        for children in (self._workloads, self._pods):
            children.drop(key)
        self._changed(key)

    def keep_workload(self, body: Body) -> JobKey | None:
        """Take in a Job; return whose it is."""
        return self._changed(self._workloads.keep(body))

    def keep_pod(self, body: Body) -> JobKey | None:
        """Take in a pod; return whose it is."""
        return self._changed(self._pods.keep(body))

    def forget_workload(self, body: Body) -> JobKey | None:
        """Take in that a Job is gone; return whose it was."""
        return self._forget(self._workloads, body)

    def forget_pod(self, body: Body) -> JobKey | None:
        """Take in that a pod is gone; return whose it was."""
        return self._forget(self._pods, body)

    def _forget(self, children: Children, body: Body) -> JobKey | None:
        return self._changed(children.forget(body) if owner_key(body) in self._jobs else children.remove(body))

    def keep_progress(self, key: JobKey, progress: Progress) -> None:
        """Take in what a trainer said."""
        self._progress[key] = progress

    def keep_trouble(self, key: JobKey, uid: str, trouble: Trouble | None) -> bool:
        """Take in what Events tell of a Job or pod; return whether it is new."""
        before, now = self._troubles.pop(key, None), (uid, trouble) if trouble else None
        if now is not None:
            self._troubles[key] = now
        return before != now

    def resync(self, key: JobKey, before: Look, shown: Look, now: float) -> None:
        """Take in what a live look has shown of a job's children, as against what was known before it was asked for."""
        self._workloads.resync(before.workloads, shown.workloads, now)
        self._pods.resync(before.pods, shown.pods, now)
        self._looked[key] = now
        self._changed(key)


def _parent(key: JobKey, body: Body | None) -> tuple[str, str]:
    """Return namespace and name of the job that one goes on from; no name where it goes on from none."""
    model = ((body or {}).get("spec") or {}).get("model") or {}
    return key.namespace, str(model.get("fromJob") or "")


def _is_end(condition: Body) -> bool:
    return bool(condition.get("type") == ConditionType.FINISHED and condition.get("status") == "True")


def _uid(body: Body) -> str:
    """Return an object's identity; what has no uid (it was never stored) is known by its name."""
    return str(body["metadata"].get("uid") or body["metadata"]["name"])


def _older(body: Body, known: Body | None) -> bool:
    """Whether a body is an earlier state than what is known. Versions of all objects of a server are comparable."""
    return known is not None and _version(body) < _version(known)


def _version(body: Body) -> int:
    text = str(body["metadata"].get("resourceVersion", "0"))
    return int(text) if text.isdigit() else 0
