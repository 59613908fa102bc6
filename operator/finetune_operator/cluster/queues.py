"""Why a job has no place in its queue, in Kueue's own words.

Kueue tells it on its Workload, which is no watched kind: one weighs as much as a Job, and most of what changes in it is
nobody's concern here. So it is asked about each job that waits, soon and then less and less often.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from finetune_operator.api import keys, timestamps
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.client import Client, Resource
from finetune_operator.cluster.errors import ApiError
from finetune_operator.cluster.store import Body, Store
from finetune_operator.reconcile.snapshot import Trouble

WORKLOADS = Resource("/apis/kueue.x-k8s.io/v1beta2", "workloads")

JOB_UID = "kueue.x-k8s.io/job-uid"
"""Kueue's label of a Workload: the object that it stands for."""

FIRST_SECONDS = 2.0
"""Seconds that Kueue has to say something about a new Job or about one that it took back."""

SHORTEST_SECONDS = 5.0
"""Seconds from one question about a job to the next at least."""

PATIENCE = 0.25
"""Part of the time that a job has been waiting after which it is asked about again."""

AT_ONCE = 20
"""Questions in one round at most; those that waited longest for theirs come first."""


@dataclass(frozen=True, slots=True)
class Queues:
    """Remembers when each waiting job was asked about last (seconds since the epoch), by the uid of its Job."""

    asked: dict[str, float] = field(default_factory=dict)

    async def ask(self, client: Client, store: Store, now: float) -> list[JobKey]:
        """Ask about the jobs that are due, and keep the answers; return the jobs of which something is new.

        What cannot be read (no Kueue, another version of it, a role of an older release) is left as it was.
        """
        held = {uid_of(body): (key, body) for key, body in store.each(_held)}
        for uid in self.asked.keys() - held.keys():
            del self.asked[uid]
        due = sorted((self._due(uid, body), uid) for uid, (_key, body) in held.items())
        news = []
        for when, uid in due[:AT_ONCE]:
            if when > now:
                break
            self.asked[uid] = now
            key, _body = held[uid]
            try:
                found = await client.list(WORKLOADS, key.namespace, label_selector=f"{JOB_UID}={uid}")
            except ApiError:
                break
            if store.keep_trouble(key, told_of(uid), next((why(one) for one in found), None)):
                news.append(key)
        return news

    def _due(self, uid: str, body: Body) -> float:
        since = _since(body)
        if uid not in self.asked or self.asked[uid] < since:
            return since + FIRST_SECONDS
        return self.asked[uid] + max(SHORTEST_SECONDS, PATIENCE * (self.asked[uid] - since))


def told_of(uid: str) -> str:
    """Return under what the answer about a Job is kept: it is none about its pods."""
    return f"queue of {uid}"


def uid_of(body: Body) -> str:
    """Return a Job's uid."""
    return str(body["metadata"].get("uid", ""))


def why(workload: Body) -> Trouble | None:
    """Return why Kueue gives no place: why it took it back, else why it does not give it; None where it gives one."""
    conditions = {one["type"]: one for one in (workload.get("status") or {}).get("conditions") or ()}
    evicted, reserved = conditions.get("Evicted", {}), conditions.get("QuotaReserved", {})
    if reserved.get("status") == "True":
        return None
    said = evicted if evicted.get("status") == "True" else reserved
    return Trouble(said.get("reason", ""), said["message"]) if said.get("message") else None


def _held(store: Store, key: JobKey) -> Body | None:
    """Return a job's newest attempt, where a queue holds it back."""
    newest = store.workload(key)
    return newest if newest is not None and _is_held(newest) else None


def _is_held(body: Body) -> bool:
    queue = (body["metadata"].get("labels") or {}).get(keys.LABEL_QUEUE)
    return bool(queue and (body.get("spec") or {}).get("suspend") and "deletionTimestamp" not in body["metadata"])


def _since(body: Body) -> float:
    """Return since when a Job is held back."""
    for one in (body.get("status") or {}).get("conditions") or ():
        if one["type"] == "Suspended" and one["status"] == "True":
            return timestamps.parse(one["lastTransitionTime"])
    return timestamps.parse(body["metadata"]["creationTimestamp"])
