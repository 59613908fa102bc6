"""What the operator wrote about a job, from the audit log of the cluster's API server."""

from __future__ import annotations

import os
import subprocess
import typing

from audit import Write, parsed

AUDIT_LOG = "/var/log/kubernetes/audit.log"
"""Where it lies in the node; see e2e/cluster/kind.py, which makes clusters that keep one."""

STATUS = "finetunejobs/status"

TRAINERS_WORD = {"progress", "checkpoint"}
"""Fields of the status that tell what a trainer says, again and again while it is up."""

TRAINERS_COLUMNS = {"progress", "step", "loss", "eta"}


def written(namespace: str, name: str) -> list[Write]:
    """Return the operator's writes about a job, in order."""
    node = f"{os.environ.get('FINETUNE_CLUSTER', 'finetune')}-control-plane"
    done = subprocess.run(["docker", "exec", node, "cat", AUDIT_LOG], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, f"no audit log; a cluster made anew has one (make down): {done.stderr.decode()}"
    return [one for one in parsed(done.stdout) if one.done and one.namespace == namespace and name in one.name]


def without_progress(writes: list[Write]) -> list[Write]:
    """Return the writes without those that tell of nothing but how far the trainer is."""
    told: dict[str, typing.Any] | None = None
    left = []
    for one in writes:
        before, told = told, (_lasting(one) if one.resource == STATUS else told)
        if one.resource != STATUS or told != before:
            left.append(one)
    return left


def _lasting(write: Write) -> dict[str, typing.Any]:
    """Return what a status says beside that; while the trainer is up, the messages are its as well."""
    assert write.body is not None, "the policy keeps statuses whole"
    status = {field: value for field, value in write.body["status"].items() if field not in TRAINERS_WORD}
    columns = {field: text for field, text in status.get("columns", {}).items() if field not in TRAINERS_COLUMNS}
    if status["phase"] not in {"Starting", "Running"}:
        return status | {"columns": columns}
    conditions = [one | {"message": ""} for one in status["conditions"]]
    return status | {"columns": columns, "conditions": conditions, "message": ""}
