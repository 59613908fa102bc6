"""The release is upgraded and rolled back while a job trains: the job does not notice."""

from __future__ import annotations

import json
import subprocess
import typing

from cluster_user import OPERATOR_NAMESPACE, ROOT, TRAINING_SECONDS, Job, User, a_job, eventually, kubectl

CHART = ROOT / "charts/finetune-operator"
RELEASE = "finetune-operator"

HELM_SECONDS = 150
"""A rolled-out upgrade; usually 15 s."""

TOLD_WITHIN = 60
"""Seconds from a ready operator to a status that moves again; usually 5."""

LONG = {"maxSteps": 400, "batchSize": 8, "sequenceLength": 64}
"""Longer than both roll-outs take."""


def helm(*words: str) -> str:
    command = ["helm", *words, "--namespace", OPERATOR_NAMESPACE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HELM_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout


def deployed_revision() -> str:
    history = json.loads(helm("history", RELEASE, "-o", "json"))
    return str(next(one["revision"] for one in history if one["status"] == "deployed"))


def log_level() -> str:
    return json.loads(helm("get", "values", RELEASE, "--all", "-o", "json"))["config"]["logs"]["level"]


def operator() -> str:
    """Return the uid of the one operator pod."""

    def alone() -> list[str]:
        selector = f"app.kubernetes.io/instance={RELEASE}"
        found = json.loads(kubectl("-n", OPERATOR_NAMESPACE, "get", "pods", "-l", selector, "-o", "json"))["items"]
        return [one["metadata"]["uid"] for one in found] if len(found) == 1 else []

    return eventually(alone, within=TOLD_WITHIN, waiting_for="one operator pod")[0]


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


def moves_on(user: User, name: str) -> Job:
    """Wait until the operator tells of a later step than it does now."""
    before = user.job(name)["status"]["progress"]["step"]

    def later() -> Job | None:
        job = user.job(name)
        return job if job["status"]["progress"]["step"] > before else None

    return typing.cast("Job", eventually(later, within=TOLD_WITHIN, waiting_for=f"progress of {name} beyond {before}"))


def test_the_release_is_upgraded_and_rolled_back_while_a_job_trains_on_in_its_pod(sampled):
    sampled.apply(a_job("steady", training=LONG))
    plan = sampled.training("steady")["status"]["plan"]
    began, first, level, revision = pod(sampled, "steady"), operator(), log_level(), deployed_revision()
    other = "debug" if level != "debug" else "info"
    try:
        helm("upgrade", RELEASE, str(CHART), "--reuse-values", "--set", f"config.logs.level={other}", "--wait")
        second = operator()
        assert (second != first, log_level()) == (True, other)
        status = moves_on(sampled, "steady")["status"]
        assert (status["phase"], status["plan"] == plan) == ("Running", True)
        assert pod(sampled, "steady") == began
    finally:
        helm("rollback", RELEASE, revision, "--wait")
    assert (operator() not in {first, second}, log_level()) == (True, level)
    assert moves_on(sampled, "steady")["status"]["phase"] == "Running"
    assert pod(sampled, "steady") == began

    ended = sampled.finished("steady", within=TRAINING_SECONDS)["status"]
    assert ended["phase"] == "Succeeded", ended["message"]
    assert [(one["number"], one["reason"]) for one in ended["attempts"]] == [(1, "Succeeded")]
    assert pod(sampled, "steady") | {"phase": "Running"} == began
