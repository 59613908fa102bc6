"""The real Kueue on the cluster for as long as a story needs it, and queues in it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

from cluster_user import ROOT, User, eventually, kubectl

CLUSTER = ROOT / "e2e/cluster"

INSTALL_SECONDS = 900
"""Kueue built, loaded and ready; usually 25 s, the first time some minutes more."""

GONE_WITHIN = 60
"""Seconds until Kueue has let go of what belongs to a deleted job."""

CPU_REQUEST = 500
"""CPU in thousandths that a training pod requests here; see e2e/install.py."""


@contextlib.contextmanager
def with_kueue() -> Iterator[None]:
    """Have Kueue, with its webhooks. All queues have to be closed in the end: it frees them."""
    subprocess.run([sys.executable, CLUSTER, "kueue"], check=True, timeout=INSTALL_SECONDS)
    try:
        yield
    finally:
        subprocess.run([sys.executable, CLUSTER, "without-kueue"], check=True, timeout=INSTALL_SECONDS)


@contextlib.contextmanager
def a_queue(user: User, room: int) -> Iterator[Queue]:
    """Have a queue, and close it."""
    queue = Queue(user, room)
    try:
        yield queue
    finally:
        queue.close()


class Queue:
    """A ClusterQueue with room for so many pods, and the way into it from a user's namespace."""

    def __init__(self, user: User, room: int) -> None:
        self.user, self.name = user, user.namespace
        self._apply("ResourceFlavor", {})
        self.set(room)
        self._apply("LocalQueue", {"clusterQueue": self.name}, "team", user.namespace)

    def set(self, room: int, *, stop: str = "None") -> None:
        """Change its room, or what it does with the jobs in it."""
        quotas = {"cpu": f"{room * CPU_REQUEST}m", "memory": "1000Gi"}
        flavor = {
            "name": self.name,
            "resources": [{"name": resource, "nominalQuota": quota} for resource, quota in quotas.items()],
        }
        spec = {
            "namespaceSelector": {},
            "resourceGroups": [{"coveredResources": [*quotas], "flavors": [flavor]}],
            "preemption": {"withinClusterQueue": "LowerPriority"},
            "stopPolicy": stop,
        }
        self._apply("ClusterQueue", spec)

    def _apply(self, kind: str, spec: dict, name: str | None = None, namespace: str | None = None) -> None:
        metadata = {"name": name or self.name} | ({"namespace": namespace} if namespace else {})
        body = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": metadata, "spec": spec}
        kubectl("apply", "-f", "-", stdin=json.dumps(body))

    @property
    def holders(self) -> int:
        """How many jobs hold a place."""
        found = json.loads(kubectl("get", "clusterqueue", self.name, "-o", "json"))
        return found.get("status", {}).get("reservingWorkloads", 0)

    def close(self) -> None:
        """Remove it; Kueue has to be there for that."""
        self.user.kubectl("delete", "finetunejobs", "--all", "--wait=true")
        eventually(
            lambda: not self.user.items("workloads.kueue.x-k8s.io"), within=GONE_WITHIN, waiting_for="Kueue to let go"
        )
        self.user.kubectl("delete", "localqueue", "team")
        kubectl("delete", "clusterqueue,resourceflavor", self.name)
