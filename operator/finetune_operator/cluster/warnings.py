"""Why pods do not come or do not start, as their Events tell.

Events are no watched kind, and the API server reads all of a namespace to answer about one. So one question is asked
for each namespace in which something is late, whatever the number of jobs there.
"""

from __future__ import annotations

import collections
import typing

from finetune_operator.api import keys, timestamps
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.client import EVENTS, Client
from finetune_operator.cluster.errors import ApiError
from finetune_operator.cluster.store import Body, Store, attempt_of
from finetune_operator.manifests.names import in_jobset
from finetune_operator.reconcile.snapshot import Trouble

NO_POD_SECONDS = 5.0
"""Seconds that a Job may take to make its pods, before its Events are asked why it does not."""

CREATING_SECONDS = 8.0
"""Seconds that a pod may take to start, before its Events are asked why it does not."""


async def ask(client: Client, store: Store, now: float) -> list[JobKey]:
    """Read the warnings about all attempts that are late, and keep them; return the jobs with something new.

    What cannot be read (a role of an older release, an API server that does not answer) is left as it was.
    """
    late: dict[str, list[tuple[JobKey, _Awaited]]] = collections.defaultdict(list)
    for key, awaited in store.each(_awaited):
        if (first := next((one for one in awaited if one.until <= now), None)) is not None:
            late[key.namespace].append((key, first))
    news = []
    for namespace, jobs in late.items():
        try:
            events = await client.list(EVENTS, namespace, field_selector="type=Warning")
        except ApiError:
            continue
        told = _newest(events)
        for key, one in jobs:
            if store.keep_trouble(key, one.uid, told.get(one.about)):
                news.append(key)
    return news


class _Awaited(typing.NamedTuple):
    """What of an attempt may yet come by itself until a moment (seconds since the epoch)."""

    until: float
    uid: str
    about: str
    """What stands for it in `_newest`."""


def _newest(events: list[typing.Any]) -> dict[str, Trouble]:
    """Return the newest warning about each object, by its uid; about Jobs by their name as well."""
    events.sort(key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""))
    told = {}
    for event in events:
        about, trouble = event.get("involvedObject") or {}, Trouble(event.get("reason", ""), event.get("message", ""))
        told[about.get("uid", "")] = trouble
        if about.get("kind") == "Job":
            told[_called(about.get("name", ""))] = trouble
    return told


def _called(name: str) -> str:
    return f"Job/{name}"


def _awaited(store: Store, key: JobKey) -> tuple[_Awaited, ...] | None:
    """Return what of a job's newest attempt has not come yet: pods that do not run, then the Job without them all.

    Looks at the objects as they are: there may be thousands.
    """
    newest = store.workload(key)
    if newest is None or not _active(newest):
        return None
    number = attempt_of(newest)
    pods = [pod for pod in store.pods(key) if attempt_of(pod) == number]
    awaited = []
    for pod in pods:
        if _starting(pod):
            uid = str(pod["metadata"]["uid"])
            awaited.append(_Awaited(_created(pod) + CREATING_SECONDS, uid, uid))
    if len(pods) < newest["spec"].get("parallelism", 1):
        since = (newest.get("status") or {}).get("startTime")
        begun = timestamps.parse(since) if since else _created(newest)
        uid = str(newest["metadata"]["uid"])
        awaited.append(_Awaited(begun + NO_POD_SECONDS, uid, _maker_of_pods(newest)))
    return tuple(awaited) or None


def _maker_of_pods(newest: Body) -> str:
    """Return what tells of pods that are not made: the Job; that of a JobSet, which is not watched, by its name."""
    metadata = newest["metadata"]
    return _called(in_jobset(metadata["name"])) if newest.get("kind") == keys.JOBSET else str(metadata["uid"])


def _active(workload: Body) -> bool:
    """Whether a Job makes pods: it is not held back, not ended, not going."""
    held = (workload.get("spec") or {}).get("suspend") or "deletionTimestamp" in workload["metadata"]
    conditions = (workload.get("status") or {}).get("conditions") or ()
    return not held and not any(one["type"] in {"Complete", "Failed"} and one["status"] == "True" for one in conditions)


def _starting(pod: Body) -> bool:
    """Whether a pod has its node and does not run; where it has none, the scheduler says why in its status."""
    status = pod.get("status") or {}
    if status.get("phase", "Pending") != "Pending":
        return False
    return not any(one["type"] == "PodScheduled" and one["status"] == "False" for one in status.get("conditions") or ())


def _created(body: Body) -> float:
    return timestamps.parse(body["metadata"]["creationTimestamp"])
