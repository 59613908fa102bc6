"""What a job costs the API server: the operator's writes, counted in the API server's own audit log."""

import json
import pathlib
import time

import pytest
from audit import OPERATOR, writes
from control_plane import ControlPlane, poll_until, poll_until_same
from finetune_operator.api import keys
from finetune_operator.api.schema import crd
from finetune_trainer.contract import ExitReport, Outcome, to_json
from operator_process import OperatorProcess
from played_job import SETTLED_SECONDS
from real_jobs import JOBS, NAMESPACE, smallest

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
CLAIMS = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims"
CLAIM = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
ON_THE_USERS_CLAIM = smallest(checkpoints={"storage": {"claim": {"name": "data"}}})
"""A job that needs nothing made but its Job: model of the hub, rows and checkpoints on a claim that is there."""

SEEN_SECONDS = 20
"""From a change to its effect; usually well below one second."""

QUIET_SECONDS = 4
"""How long nothing may be written; e2e/performance looks for a minute."""

UNTIL_CREATED, WHOLE_LIFE = 2, 12


class Story:
    """One job and what the operator wrote for it."""

    def __init__(self, server, name):
        self.server = server
        self.name = name
        body = {"apiVersion": keys.API_VERSION, "kind": keys.KIND, "metadata": {"name": name}}
        status, answer = server.request("POST", JOBS, {**body, "spec": ON_THE_USERS_CLAIM}, fieldValidation="Strict")
        assert status == 201, answer

    @property
    def phase(self):
        return self.server.request("GET", f"{JOBS}/{self.name}")[1].get("status", {}).get("phase")

    @property
    def pods(self):
        selector = f"{keys.LABEL_JOB}={self.name}"
        return self.server.request("GET", PODS, labelSelector=selector)[1]["items"]

    @property
    def written(self):
        """What the operator wrote, as verb and resource, in order."""
        return [
            (write.verb, write.resource)
            for write in writes(self.server.audit_log)
            if write.user == OPERATOR and write.done and self.name in write.name
        ]

    def reaches(self, phase):
        poll_until(lambda: self.phase == phase, within=SEEN_SECONDS, waiting_for=f"{self.name} to be {phase}")

    def settles(self):
        """Wait until all is written that there is to write: an Event comes after its status."""
        poll_until_same(
            lambda: self.written, seconds=SETTLED_SECONDS, within=SEEN_SECONDS, waiting_for=f"{self.name} to settle"
        )

    def pod_is(self, **status):
        poll_until(lambda: self.pods, within=SEEN_SECONDS, waiting_for="the pod")
        (pod,) = self.pods
        answer = self.server.request("PATCH", f"{PODS}/{pod['metadata']['name']}/status", {"status": status})
        assert answer[0] == 200, answer[1]


def container(**state):
    return [{"name": "trainer", "image": "x", "imageID": "x", "ready": False, "restartCount": 0, "state": state}]


@pytest.fixture(scope="module")
def server(programs, tmp_path_factory):
    with ControlPlane(programs, job_controller=True) as running:
        running.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd())
        running.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": CLAIM}
        assert running.request("POST", CLAIMS, claim)[0] == 201
        poll_until(lambda: running.request("GET", JOBS)[0] == 200, within=30, waiting_for="the definition")
        with OperatorProcess(running, pathlib.Path(tmp_path_factory.mktemp("operator"))):
            yield running


def test_a_job_is_one_write_away_from_its_apply_and_its_whole_life_costs_few(server):
    story = Story(server, "counted")
    story.reaches("Pending")
    assert story.written.index(("create", "jobs")) < UNTIL_CREATED
    story.pod_is(phase="Running", podIP="10.9.9.9", containerStatuses=container(running={"startedAt": now()}))
    story.reaches("Starting")
    report = to_json(ExitReport(outcome=Outcome.SUCCEEDED, message="done", step=10, total_steps=10))
    ended = {"exitCode": 0, "reason": "Completed", "message": report, "startedAt": now(), "finishedAt": now()}
    story.pod_is(phase="Succeeded", containerStatuses=container(terminated=ended))
    story.reaches("Succeeded")
    story.settles()
    assert len(story.written) <= WHOLE_LIFE
    assert ("create", "events") in story.written
    _quiet(server, story)


def _quiet(server, story):
    """After the end nothing is written, also when others touch what belongs to the job."""
    before = story.written
    touched = {"metadata": {"annotations": {"touched": "yes"}}}
    server.request("PATCH", f"{JOBS}/{story.name}", touched)
    server.request("PATCH", f"{PODS}/{story.pods[0]['metadata']['name']}", touched)
    until = time.monotonic() + QUIET_SECONDS
    poll_until(lambda: time.monotonic() > until or story.written != before, within=60, waiting_for="quiet to pass")
    assert story.written == before


def test_a_pod_that_wavers_before_it_starts_costs_a_write_only_when_the_user_learns_something(server):
    story = Story(server, "wavering")
    story.reaches("Pending")
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node fits"}
    poll_until(lambda: story.pods, within=SEEN_SECONDS, waiting_for="the pod")
    story.settles()
    before = len(story.written)
    for moment in range(10):  # the scheduler tries again and again, and says the same
        story.pod_is(phase="Pending", conditions=[{**unschedulable, "lastProbeTime": now(moment)}])
    poll_until(
        lambda: "no node fits" in json.dumps(server.request("GET", f"{JOBS}/{story.name}")[1].get("status", {})),
        within=SEEN_SECONDS,
        waiting_for="the reason in the status",
    )
    assert len(story.written) - before <= 2, story.written


def now(later=0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + later))
