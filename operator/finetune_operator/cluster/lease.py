"""The Lease that names the operator that leads: one small object, read and written as a value.

Not here: when to take it and when to give up (`runtime.leader`).
"""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api import timestamps
from finetune_operator.cluster.client import Body, Client, Resource
from finetune_operator.cluster.errors import NotFound

LEASES = Resource("/apis/coordination.k8s.io/v1", "leases")


@dataclass(frozen=True, slots=True)
class Lease:
    """Who leads, for how many seconds from each renewal. Moments in seconds since the epoch; they are for people."""

    holder: str
    """Identity of the leader; empty where nobody leads."""
    seconds: int
    acquired: float
    renewed: float
    transitions: int
    version: str
    """The resourceVersion that a write replaces; empty where the object is not there yet."""


NOBODYS = Lease(holder="", seconds=1, acquired=0.0, renewed=0.0, transitions=0, version="")


class LeaseLock:
    """One Lease of the API server."""

    def __init__(self, client: Client, namespace: str, name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name

    def __str__(self) -> str:
        """Name it as people do."""
        return f"{self._namespace}/{self._name}"

    async def read(self, seconds: float) -> Lease:
        """Return the Lease as it is now, within so many seconds; nobody's where there is none.

        Raises:
            ApiError: see `cluster.errors`.
        """
        try:
            return _parsed(await self._client.get(LEASES, self._namespace, self._name, seconds=seconds))
        except NotFound:
            return NOBODYS

    async def write(self, lease: Lease, seconds: float) -> Lease:
        """Write the Lease over the version that it was read at, within so many seconds; return it with its new version.

        Raises:
            Conflict: somebody else wrote since.
            ApiError: see `cluster.errors`; whether it was written may be unknown.
        """
        body: Body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": lease.holder,
                "leaseDurationSeconds": lease.seconds,
                "acquireTime": timestamps.micro(lease.acquired),
                "renewTime": timestamps.micro(lease.renewed),
                "leaseTransitions": lease.transitions,
            },
        }
        if not lease.version:
            return _parsed(await self._client.create(LEASES, self._namespace, body, seconds=seconds))
        body["metadata"]["resourceVersion"] = lease.version
        return _parsed(await self._client.replace(LEASES, self._namespace, body, seconds=seconds))


def _parsed(body: Body) -> Lease:
    """Return what an object says. Whatever a stranger left out counts as nobody's, so that it can be taken."""
    spec = body.get("spec") or {}
    return Lease(
        holder=spec.get("holderIdentity") or "",
        seconds=spec.get("leaseDurationSeconds") or NOBODYS.seconds,
        acquired=timestamps.parse(spec["acquireTime"]) if spec.get("acquireTime") else NOBODYS.acquired,
        renewed=timestamps.parse(spec["renewTime"]) if spec.get("renewTime") else NOBODYS.renewed,
        transitions=spec.get("leaseTransitions") or 0,
        version=body["metadata"]["resourceVersion"],
    )
