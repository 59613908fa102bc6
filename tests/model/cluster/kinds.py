"""The kinds of object that the model holds, and where each is in the API."""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api import keys


@dataclass(frozen=True, slots=True)
class Kind:
    """`status` says that it is a subresource; `generation` that changes of the spec are counted."""

    prefix: str
    plural: str
    name: str
    namespaced: bool = True
    status: bool = False
    generation: bool = False

    @property
    def version(self) -> str:
        return self.prefix.removeprefix("/apis/").removeprefix("/api/")

    def __str__(self) -> str:
        return self.name


NAMESPACE = Kind("/api/v1", "namespaces", "Namespace", namespaced=False, status=True)
POD = Kind("/api/v1", "pods", "Pod", status=True)
CONFIG_MAP = Kind("/api/v1", "configmaps", "ConfigMap")
CLAIM = Kind("/api/v1", "persistentvolumeclaims", "PersistentVolumeClaim", status=True)
SERVICE = Kind("/api/v1", "services", "Service", status=True)
EVENT = Kind("/api/v1", "events", "Event")
LEASE = Kind("/apis/coordination.k8s.io/v1", "leases", "Lease")
JOB = Kind("/apis/batch/v1", "jobs", "Job", status=True, generation=True)
FINE_TUNE_JOB = Kind(f"/apis/{keys.API_VERSION}", keys.PLURAL, keys.KIND, status=True, generation=True)

KINDS = (NAMESPACE, POD, CONFIG_MAP, CLAIM, SERVICE, EVENT, LEASE, JOB, FINE_TUNE_JOB)
BY_PLACE = {(kind.prefix, kind.plural): kind for kind in KINDS}
OWNERS = {(kind.version, kind.name): kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Place:
    """What a path names: a collection, an object, or a part of it."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def place(path: str) -> Place | None:
    """Return what a path names; None where the API has no such place."""
    parts = path.strip("/").split("/")
    cut = 2 if parts[0] == "api" else 3
    prefix, rest = "/" + "/".join(parts[:cut]), parts[cut:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and (prefix, rest[2]) in BY_PLACE:
        namespace, rest = rest[1], rest[2:]
    kind = BY_PLACE.get((prefix, rest[0])) if rest else None
    if kind is None:
        return None
    return Place(kind, namespace, *rest[1:3])
