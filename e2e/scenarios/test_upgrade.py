"""The release is upgraded, loses the operator that leads, and is rolled back while a job trains: it does not notice."""

from __future__ import annotations

import json
import os
import subprocess
import time
import typing

from cluster_user import OPERATOR_NAMESPACE, Job, User, a_job, eventually, kubectl
from release import RELEASE, helm, operator_pods, revision, rollback, upgrade

TOLD_WITHIN = 60
"""Seconds from a ready operator to a status that moves again; usually 5."""

TAKEOVER_WITHIN = 20
"""Seconds from the death of the leader to a status that moves again."""

GRACE = 45
"""Seconds from a wish to cancel until a job has ended; the trainer has 30 to save."""

ENDLESS = {"maxSteps": 100_000, "batchSize": 8, "sequenceLength": 64}
"""Longer than the roll-outs and the takeover take on any machine."""


def log_level() -> str:
    return json.loads(helm("get", "values", RELEASE, "--all", "-o", "json"))["config"]["logs"]["level"]


def operators(count: int) -> dict[str, str]:
    """Wait until there are so many operator pods; return their uids by their names."""

    def found() -> dict[str, str]:
        pods = operator_pods()
        return pods if len(pods) == count else {}

    return eventually(found, within=TOLD_WITHIN, waiting_for=f"{count} operator pods")


def leader() -> str:
    """Return the name of the pod that holds the Lease; empty where none does."""
    lease = json.loads(kubectl("-n", OPERATOR_NAMESPACE, "get", "lease", RELEASE, "-o", "json"))
    return (lease["spec"].get("holderIdentity") or "").split("_")[0]


def kill(name: str) -> None:
    """SIGKILL the process of an operator's pod, in the node: no grace, no handler, and the Lease is not given back."""
    found = json.loads(kubectl("-n", OPERATOR_NAMESPACE, "get", "pod", name, "-o", "json"))
    container = found["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    node = f"{os.environ.get('FINETUNE_CLUSTER', 'finetune')}-control-plane"
    command = ["docker", "exec", node, "ctr", "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL"]
    subprocess.run([*command, container], check=True, timeout=30)


def pod(user: User, name: str) -> dict[str, typing.Any]:
    """Return what a restart of a training pod would change; there is exactly one pod."""
    (found,) = user.pods(name)
    (container,) = found["status"]["containerStatuses"]
    return {
        "uid": found["metadata"]["uid"],
        "restarts": container["restartCount"],
        "container": container["containerID"],
        "phase": found["status"]["phase"],
    }


def moves_on(user: User, name: str, *, within: float = TOLD_WITHIN) -> Job:
    """Wait until the operator tells of a later step than it does now."""
    before = user.status(name)["progress"]["step"]

    def later() -> Job | None:
        now = user.status(name)
        return now if now["progress"]["step"] > before else None

    waiting_for = f"progress of {name} beyond {before}"
    return typing.cast("Job", eventually(later, within=within, waiting_for=waiting_for, every=0.3))


def test_a_job_trains_on_in_its_pod_while_the_release_is_upgraded_loses_its_leader_and_is_rolled_back(sampled):
    sampled.apply(a_job("steady", training=ENDLESS))
    plan = sampled.training("steady")["status"]["plan"]
    began, first, level, before = pod(sampled, "steady"), operators(1), log_level(), revision()
    other = "debug" if level != "debug" else "info"
    try:
        upgrade(f"config.logs.level={other}", "replicaCount=2", "leaderElection.enabled=true")
        two = operators(2)
        assert (two.keys().isdisjoint(first), log_level()) == (True, other)
        status = moves_on(sampled, "steady")
        assert (status["phase"], status["plan"] == plan) == ("Running", True)
        assert pod(sampled, "steady") == began

        dies = leader()
        assert dies in two
        killed = time.monotonic()
        kill(dies)
        moves_on(sampled, "steady", within=3 * TAKEOVER_WITHIN)
        took = time.monotonic() - killed
        print(f"\nstatus moves again {took:.1f} s after the leader was killed")
        assert took < TAKEOVER_WITHIN
        assert leader() in two.keys() - {dies}
        assert pod(sampled, "steady") == began
    finally:
        rollback(before)
    (last,) = operators(1).values()
    assert (last not in {*first.values(), *two.values()}, log_level()) == (True, level)
    assert moves_on(sampled, "steady")["phase"] == "Running"
    assert pod(sampled, "steady") == began

    sampled.patch("steady", cancel=True)
    ended = sampled.finished("steady", within=GRACE)["status"]
    assert [(one["number"], one["reason"]) for one in ended["attempts"]] == [(1, "Cancelled")]
    assert ended["checkpoint"]["step"] >= status["progress"]["step"]
