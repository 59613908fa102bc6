"""The cluster: one kind node, created, reused, repaired or deleted.

Not here: the image the node is made from; see ``node_image.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import cache
import engine
import node_image
import tools
from steps import Failed, Step, ask, demand, run, say, timed

READY_SECONDS = 120.0
"""From a started node to a Ready one; 15 s is usual."""

REUSE_SECONDS = 30.0
"""How long a running cluster may take to show that it is healthy."""

SERVING_SECONDS = 180.0
"""From a Ready node to a cluster whose DNS and storage answer; 15 s is usual."""

LEASE_SECONDS = 45.0
"""A kubelet renews its lease every 10 s; the API server calls a node lost after 40."""

_SERVING_DEPLOYMENTS = (
    ("-n", "kube-system", "deployment/coredns", "--for=condition=Available"),
    ("-n", "local-path-storage", "deployment/local-path-provisioner", "--for=condition=Available"),
)
_SERVING_PODS = (
    ("-n", "kube-system", "pod", "-l", "k8s-app=kube-dns", "--for=condition=Ready"),
    ("-n", "local-path-storage", "pod", "-l", "app=local-path-provisioner", "--for=condition=Ready"),
)


AUDIT_POLICY = Path(__file__).with_name("audit-policy.yaml")
"""What the API server writes into its audit log."""

AUDIT_LOG = "/var/log/kubernetes/audit.log"
"""Where it lies in the node; `e2e/scenarios/written.py` reads it."""

_POLICY_IN_NODE = "/kind/audit-policy.yaml"

SHARED_STORAGE = Path(__file__).with_name("shared-storage.yaml")
"""A class for claims that pods of several nodes mount, beside the one that kind brings."""

_STORAGE_FOLDERS = {
    "storageClassConfigs": {
        "standard": {
            "nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": ["/var/local-path-provisioner"]}]
        },
        "shared": {"sharedFileSystemPath": "/var/local-path-shared"},
    }
}


def name() -> str:
    """Return the cluster's name, $FINETUNE_CLUSTER or finetune."""
    return os.environ.get("FINETUNE_CLUSTER") or "finetune"


def node() -> str:
    """Return the name that kind gives to the one node and to its container."""
    return f"{name()}-control-plane"


def folder() -> Path:
    """Return the folder for what belongs to this cluster alone."""
    return cache.root() / "clusters" / name()


def kubeconfig() -> Path:
    """Return our own kubeconfig of the cluster."""
    return folder() / "kubeconfig"


def env() -> dict[str, str]:
    """Return the environment in which docker, kind and kubectl mean this cluster."""
    return {**engine.env(), "KUBECONFIG": str(kubeconfig())}


def state() -> str:
    """Return absent, stopped or running, by the node's container."""
    running = ask(["docker", "container", "inspect", "--format", "{{.State.Running}}", node()], env=engine.env())
    return {"true": "running", "false": "stopped"}.get(running or "", "absent")


def kubectl(*arguments: str, within: float = 30.0) -> str | None:
    """Ask the cluster something; None when it does not answer."""
    limit = f"--request-timeout={within:.0f}s"
    return ask([tools.tool("kubectl"), limit, *arguments], env=env(), within=within + 2)


def healthy(since: float | None = None) -> bool:
    """Tell whether the API server is ready and the node's kubelet is alive and Ready.

    A node that was stopped still says Ready until somebody notices, so its lease has to be fresh too; after a start
    at `since`, fresher than that.
    """
    if kubectl("get", "--raw", "/readyz", within=5) != "ok":
        return False
    conditions = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    if kubectl("get", "node", node(), "-o", conditions, within=5) != "True":
        return False
    lease = kubectl("get", "lease", "-n", "kube-node-lease", node(), "-o", "jsonpath={.spec.renewTime}", within=5)
    return bool(lease) and renewed_after(lease or "", time.time() - LEASE_SECONDS if since is None else since)


def renewed_after(renewed: str, moment: float) -> bool:
    """Compare a lease's time with a moment in seconds since 1970."""
    return datetime.fromisoformat(renewed).timestamp() > moment


def ensure() -> None:
    """Have a healthy cluster: reuse, start, or as a last resort delete and create."""
    found = state()
    if found == "absent":
        create()
    elif not _as_configured():
        say(f"   the cluster {name()} was made with another configuration: making it anew")
        delete()
        create()
    elif not (_starts() if found == "stopped" else _works(REUSE_SECONDS)):
        say(f"   the cluster {name()} is beyond repair: deleting it")
        delete()
        create()
    else:
        _share_storage()


def create() -> None:
    """Create the cluster and wait until its DNS and its storage work too."""
    image = node_image.ensure()
    config = _write_configuration()
    what = ("create", "cluster", "--name", name(), "--image", image, "--config", str(config))
    run(
        Step(
            f"create cluster {name()}",
            (tools.tool("kind"), *what, "--wait", "120s", "-v", "1"),
            usually="20 s",
            deadline=420,
            hint=f"The half-made node is kept for a look: `docker logs {node()}`; the next `up` deletes it."
            f" With our own engine first: export DOCKER_HOST={engine.socket()}",
            env=env(),
        )
    )
    _write_kubeconfigs()
    if not _serves():
        raise Failed(f"cluster {name()}: not every deployment became available; see `kubectl get pods -A`")
    _share_storage()


def _starts() -> bool:
    """Start a stopped node; one whose mounts are gone does not come up, whatever one waits."""
    say(f"-> start the stopped node {node()} (usually 15 s)")
    since = time.time()
    try:
        engine.docker("start", node())
    except Failed as problem:
        say(f"   {problem}")
        return False
    return _works(READY_SECONDS, since)


def _works(within: float, since: float | None = None) -> bool:
    _write_kubeconfigs()
    return _becomes_healthy(within, since) and _serves()


def _policy() -> Path:
    """Return where the node mounts the audit policy from: it outlives the checkout that made the cluster."""
    return folder() / AUDIT_POLICY.name


def _write_configuration() -> Path:
    folder().mkdir(parents=True, exist_ok=True)
    shutil.copyfile(AUDIT_POLICY, _policy())
    config = folder() / "kind.json"
    config.write_text(json.dumps(configuration()))
    return config


def _as_configured() -> bool:
    """Tell whether the cluster was made with what it would be made with today."""
    try:
        made = (folder() / "kind.json").read_text(), _policy().read_bytes()
    except FileNotFoundError:
        return False
    return made == (json.dumps(configuration()), AUDIT_POLICY.read_bytes())


def configuration() -> dict[str, Any]:
    """Return what kind is told: one node, and an API server that keeps an audit log."""
    log = str(Path(AUDIT_LOG).parent)
    api_server = {
        "extraArgs": {"audit-policy-file": _POLICY_IN_NODE, "audit-log-path": AUDIT_LOG, "audit-log-maxbackup": "1"},
        "extraVolumes": [
            {"name": "audit-policy", "hostPath": _POLICY_IN_NODE, "mountPath": _POLICY_IN_NODE, "pathType": "File"},
            {"name": "audit-log", "hostPath": log, "mountPath": log, "pathType": "DirectoryOrCreate"},
        ],
    }
    # Without a version kind brings it into the form that the Kubernetes at hand reads.
    kubeadm = {"kind": "ClusterConfiguration", "apiServer": api_server}
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [
            {
                "role": "control-plane",
                "extraMounts": [{"hostPath": str(_policy()), "containerPath": _POLICY_IN_NODE, "readOnly": True}],
                "kubeadmConfigPatches": [json.dumps(kubeadm)],
            }
        ],
    }


def delete() -> None:
    """Delete the cluster and what belongs to it alone."""
    kind = tools.tool("kind")
    if Path(kind).exists() and engine.answers():
        run(
            Step(
                f"delete cluster {name()}",
                (kind, "delete", "cluster", "--name", name()),
                usually="2 s",
                deadline=120,
                env={**engine.env(), **_users_kubeconfig()},
            )
        )
    shutil.rmtree(folder(), ignore_errors=True)


def container_id() -> str:
    """Return the node container's id, which changes when the cluster is made anew."""
    return engine.docker("container", "inspect", "--format", "{{.Id}}", node())


def in_node(*command: str, within: float = 60.0) -> str:
    """Run a command in the node and return what it prints."""
    return engine.docker("exec", "--privileged", node(), *command, within=within)


def deployments() -> list[tuple[str, bool]]:
    """Return the deployments with whether each is available."""
    raw = kubectl("get", "deployments", "-A", "-o", "json")
    items = json.loads(raw)["items"] if raw else []
    return [
        (f"{item['metadata']['namespace']}/{item['metadata']['name']}", bool(item["status"].get("availableReplicas")))
        for item in items
    ]


def _becomes_healthy(within: float, since: float | None) -> bool:
    deadline = time.monotonic() + within
    while not healthy(since):
        if time.monotonic() > deadline or state() != "running":
            return False
        time.sleep(0.5)
    return True


def _serves() -> bool:
    """Wait for what kind itself deploys: deployments, then, since those hold old news, their pods, then DNS in use."""
    deadline = time.monotonic() + SERVING_SECONDS
    with timed("wait for DNS and storage (usually 15 s after a creation)"):
        for what in (*_SERVING_DEPLOYMENTS, *_SERVING_PODS):
            left = max(1.0, deadline - time.monotonic())
            wait = [tools.tool("kubectl"), "wait", *what, f"--timeout={left:.0f}s"]
            if ask(wait, env=env(), within=left + 5) is None:
                return False
        while not _dns_answers():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)
    return True


def _share_storage() -> None:
    """Add the class for claims of several nodes; there is one node, so any folder of it is shared."""
    data = json.dumps({"data": {"config.json": json.dumps(_STORAGE_FOLDERS)}})
    config = ("patch", "configmap", "-n", "local-path-storage", "local-path-config", "--type", "merge", "-p", data)
    for words in (config, ("apply", "-f", str(SHARED_STORAGE))):
        demand([tools.tool("kubectl"), *words], env=env())


def _dns_answers() -> bool:
    """Tell whether DNS can be reached at its Service's address, which a pod's readiness precedes by seconds."""
    address = kubectl("get", "service", "-n", "kube-system", "kube-dns", "-o", "jsonpath={.spec.clusterIP}")
    knock = ["docker", "exec", node(), "timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{address}/53"]
    return address is not None and ask(knock, env=engine.env()) is not None


def _write_kubeconfigs() -> None:
    """Write our kubeconfig, and merge into the user's as kind does of its own."""
    folder().mkdir(parents=True, exist_ok=True)
    export = [tools.tool("kind"), "export", "kubeconfig", "--name", name()]
    demand([*export, "--kubeconfig", str(kubeconfig())], env=engine.env())
    demand(export, env={**engine.env(), **_users_kubeconfig()})


def _users_kubeconfig() -> dict[str, str]:
    """Return $KUBECONFIG as the user has it, or kind's default where it names our own file."""
    set_to = os.environ.get("KUBECONFIG", "")
    ours = str(cache.root() / "clusters")
    return {"KUBECONFIG": str(Path.home() / ".kube" / "config")} if not set_to or ours in set_to else {}
