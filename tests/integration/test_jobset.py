"""Attempts as JobSets on a real API server with JobSet's own definition; the test plays its controller."""

import pathlib
import subprocess

import pytest
import yaml
from control_plane import ControlPlane, poll_until
from finetune_operator.api.schema import crd
from operator_process import OperatorProcess
from played_job import CORE, SEEN_SECONDS, Story, now
from real_jobs import JOBS, NAMESPACE

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
JOBSETS = f"/apis/jobset.x-k8s.io/v1alpha2/namespaces/{NAMESPACE}/jobsets"
CLAIM = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}

MODULE_SECONDS = 300
"""The module that holds the definition fetched; usually 2 s, no time once it is there."""

TWO_NODES = {"hardware": {"accelerator": "cpu", "nodes": 2}, "distribution": {"strategy": "ddp"}}


@pytest.fixture(scope="module")
def definition():
    asked = ["python3", str(ROOT / "e2e/cluster"), "jobset-crd"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=MODULE_SECONDS)
    assert found.returncode == 0, found.stderr
    return yaml.safe_load(pathlib.Path(found.stdout.strip()).read_text("utf-8"))


@pytest.fixture(scope="module")
def server(programs, definition, tmp_path_factory):
    with ControlPlane(programs) as running:
        for one in (crd(), definition):
            assert running.request("POST", DEFINITIONS, one)[0] == 201
        running.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": CLAIM}
        assert running.request("POST", f"{CORE}/persistentvolumeclaims", claim)[0] == 201
        for path in (JOBS, JOBSETS):
            poll_until(lambda path=path: running.request("GET", path)[0] == 200, within=SEEN_SECONDS, waiting_for=path)
        controllers = running.kubeconfig(pathlib.Path(tmp_path_factory.mktemp("controllers")) / "kubeconfig.json")
        running._run(
            "kube-controller-manager",
            f"--kubeconfig={controllers}",
            "--controllers=garbage-collector-controller",
            "--leader-elect=false",
            "--secure-port=0",
        )
        folder = pathlib.Path(tmp_path_factory.mktemp("operator"))
        with OperatorProcess(running, folder, profiles={"trainer": {"multiNode": "auto"}}):
            yield running


def jobsets(server, story):
    found = server.request("GET", JOBSETS, labelSelector=f"finetune.dev/job-name={story.name}")[1]["items"]
    return sorted(found, key=lambda one: one["metadata"]["name"])


def only(server, story):
    poll_until(lambda: len(jobsets(server, story)) == 1, within=SEEN_SECONDS, waiting_for="a JobSet")
    return jobsets(server, story)[0]


def is_so(server, body, kind, status="True"):
    """Say something of a JobSet, as its controller does."""
    said = {"type": kind, "status": status, "reason": "Why", "message": "its words", "lastTransitionTime": now()}
    path = f"{JOBSETS}/{body['metadata']['name']}/status"
    code, answer = server.request("PATCH", path, {"status": {"restarts": 0, "conditions": [said]}})
    assert code == 200, answer


def test_its_definition_knows_every_field_that_an_attempt_sets(server):
    found = only(server, Story(server, "strict", **TWO_NODES))
    assert found["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"]
    again = {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "metadata": {"name": "again"},
        "spec": found["spec"],
    }
    assert server.request("POST", JOBSETS, again, fieldValidation="Strict", dryRun="All")[0] == 201


def test_one_that_completes_is_a_job_that_has_succeeded(server):
    story = Story(server, "done", **TWO_NODES)
    body = only(server, story)
    assert story.jobs == []
    is_so(server, body, "Completed")
    story.reaches("Succeeded")
    assert [(one["job"], one["reason"]) for one in story.status["attempts"]] == [
        (body["metadata"]["name"], "Succeeded")
    ]


def test_a_queue_lets_it_go_and_takes_it_back_and_a_user_takes_it_out(server):
    story = Story(server, "queued", queueName="team", **TWO_NODES)
    body = only(server, story)
    path = f"{JOBSETS}/{body['metadata']['name']}"
    assert body["spec"]["suspend"] is True
    story.reaches("Queued")

    server.request("PATCH", path, {"spec": {"suspend": False}})
    is_so(server, body, "Suspended", "False")
    story.reaches("Pending")
    assert story.condition("Admitted")["status"] == "True"
    server.request("PATCH", path, {"spec": {"suspend": True}})
    is_so(server, body, "Suspended")
    story.reaches("Queued")
    assert story.condition("Admitted")["reason"] == "Evicted"

    story.ask(suspend=True)
    story.reaches("Suspended")
    assert jobsets(server, story) == []
    story.ask(suspend=False)
    assert only(server, story)["metadata"]["name"] != body["metadata"]["name"]


def test_one_that_fails_is_followed_by_another(server):
    story = Story(server, "failing", **TWO_NODES)
    is_so(server, only(server, story), "Failed")
    poll_until(lambda: len(jobsets(server, story)) == 2, within=2 * SEEN_SECONDS, waiting_for="the next attempt")
    why = "the reason of the first one"
    poll_until(lambda: story.status["attempts"][0].get("reason") == "Interrupted", within=SEEN_SECONDS, waiting_for=why)


def test_jobs_on_one_node_stay_jobs(server):
    story = Story(server, "alone")
    poll_until(lambda: story.jobs, within=SEEN_SECONDS, waiting_for="a Job")
    assert jobsets(server, story) == []
