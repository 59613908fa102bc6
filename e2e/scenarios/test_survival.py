"""Jobs outlive the operator, go when they are deleted, and do not see each other."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest
from cluster_user import OPERATOR_NAMESPACE, SHORT_JOB_SECONDS, TRAINING_SECONDS, a_job, eventually, kubectl

CURRENT_WITHIN = 10
"""Seconds from the operator's death until status is current again."""

ROLLOUT = "90s"

GONE_WITHIN = 15
"""Seconds from the deletion of a job until its pods are gone."""

LONG = {"maxSteps": 400, "batchSize": 8, "sequenceLength": 64}


def operator_pods() -> list[dict]:
    pods = json.loads(kubectl("-n", OPERATOR_NAMESPACE, "get", "pods", "-o", "json"))["items"]
    return [p for p in pods if p["metadata"]["name"].startswith("finetune-operator")]


def operator_container() -> dict:
    (pod,) = operator_pods()
    return pod["status"]["containerStatuses"][0]


def kill_operator() -> None:
    """SIGKILL the operator's process in the node: no grace, no handler."""
    node = f"{os.environ.get('FINETUNE_CLUSTER', 'finetune')}-control-plane"
    found = subprocess.run(
        ["docker", "exec", node, "pgrep", "-f", "python.* -m finetune_operator"],
        capture_output=True,
        text=True,
        check=True,
    )
    subprocess.run(["docker", "exec", node, "kill", "-9", *found.stdout.split()], check=True)


def fresh_operator() -> None:
    """Give the operator a new pod: the kubelet restarts a container at once only once in ten minutes, then waits."""
    kubectl("-n", OPERATOR_NAMESPACE, "rollout", "restart", "deployment/finetune-operator")
    kubectl(
        "-n",
        OPERATOR_NAMESPACE,
        "rollout",
        "status",
        "deployment/finetune-operator",
        f"--timeout={ROLLOUT}",
        seconds=100,
    )
    eventually(lambda: len(operator_pods()) == 1, within=60, waiting_for="the old operator pod to go")


def step(user, name: str) -> int:
    return (user.job(name).get("status", {}).get("progress") or {}).get("step", 0)


def test_an_operator_killed_in_mid_training_comes_back_and_the_job_goes_on(sampled):
    fresh_operator()
    kept = {"storage": {"template": {"keep": True}}}
    sampled.apply(a_job("long", training=LONG, checkpoints=kept))
    sampled.training("long")
    (pod_before,) = sampled.pods("long")
    restarts, at = operator_container()["restartCount"], step(sampled, "long")
    killed = time.monotonic()
    kill_operator()
    eventually(
        lambda: operator_container()["restartCount"] > restarts and step(sampled, "long") > at,
        within=60,
        waiting_for="a status that moves again",
        every=0.3,
    )
    current = time.monotonic() - killed
    print(f"\nstatus current {current:.1f} s after the operator was killed")
    assert current < CURRENT_WITHIN
    status = sampled.job("long")["status"]
    (pod_after,) = sampled.pods("long")
    assert pod_after["metadata"]["uid"] == pod_before["metadata"]["uid"]
    assert len(status["attempts"]) == 1

    deleted = time.monotonic()
    sampled.kubectl("delete", "ftj", "long", "--wait=false")
    eventually(lambda: sampled.pods("long") == [], within=GONE_WITHIN, waiting_for="the pods to go", every=0.3)
    print(f"pods gone {time.monotonic() - deleted:.1f} s after the job was deleted")
    assert sampled.items("jobs", "-l", "finetune.dev/job-name=long") == []
    (claim,) = sampled.items("pvc", "-l", "finetune.dev/job-name=long")
    assert "deletionTimestamp" not in claim["metadata"], "it is to be kept"


@pytest.mark.long
def test_jobs_of_one_name_in_two_namespaces_do_not_mix(sampled, shared_sampled):
    short = {"maxSteps": 5, "batchSize": 8, "sequenceLength": 32}
    sampled.apply(a_job("same", training=short))
    shared_sampled.apply(a_job("same", training=short | {"maxSteps": 7}))
    ends = [user.finished("same", within=TRAINING_SECONDS)["status"] for user in (sampled, shared_sampled)]
    assert [end["phase"] for end in ends] == ["Succeeded", "Succeeded"]
    assert [end["progress"]["totalSteps"] for end in ends] == [5, 7]
    assert ends[0]["attempts"][0]["job"] != ends[1]["attempts"][0]["job"]
    for user in (sampled, shared_sampled):
        assert len(user.pods("same")) == 1


def test_a_job_created_again_under_its_name_starts_afresh(sampled):
    short = {"maxSteps": 2, "batchSize": 8, "sequenceLength": 32}
    broken = {"source": {"claim": {"name": "samples", "path": "datasets/broken-row-7.jsonl"}}}
    sampled.apply(a_job("again", training=short, dataset=broken))
    first = sampled.finished("again", within=SHORT_JOB_SECONDS)
    sampled.kubectl("delete", "ftj", "again")
    eventually(
        lambda: not sampled.items("pvc", "-l", "finetune.dev/job-name=again"),
        within=GONE_WITHIN,
        waiting_for="its claim to go with it",
    )
    sampled.apply(a_job("again", training=short))
    second = sampled.finished("again", within=TRAINING_SECONDS)
    assert second["status"]["phase"] == "Succeeded", second["status"]["message"]
    assert first["status"]["attempts"][0]["job"] != second["status"]["attempts"][0]["job"]
