"""A job on a real API server, as its user sees it, and its pods, which the test plays as the kubelet would."""

import time

from control_plane import poll_until, poll_until_same
from finetune_operator.api import keys
from finetune_trainer.contract import EXIT_CODES, ExitReport, FailureReason, Outcome, to_json
from real_jobs import JOBS, NAMESPACE, smallest

CORE = f"/api/v1/namespaces/{NAMESPACE}"
BATCH = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"

SEEN_SECONDS = 30
"""From a change to its effect; usually below two seconds."""

SETTLED_SECONDS = 1.0
"""How long a job that has settled is not written."""


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Story:
    """One job, seen and changed as its user does, and its pods, as the kubelet does."""

    def __init__(self, server, name, **spec):
        self.server, self.name = server, name
        body = {"apiVersion": keys.API_VERSION, "kind": keys.KIND, "metadata": {"name": name}}
        whole = smallest(**{"checkpoints": {"storage": {"claim": {"name": "data"}}}} | spec)
        code, answer = server.request("POST", JOBS, {**body, "spec": whole}, fieldValidation="Strict")
        assert code == 201, answer
        self.most_alive = 0

    def ask(self, **spec):
        code, answer = self.server.request("PATCH", f"{JOBS}/{self.name}", {"spec": spec})
        assert code == 200, answer

    @property
    def status(self):
        return self.server.request("GET", f"{JOBS}/{self.name}")[1].get("status", {})

    def condition(self, kind):
        return next(one for one in self.status["conditions"] if one["type"] == kind)

    def _mine(self, path):
        return self.server.request("GET", path, labelSelector=f"{keys.LABEL_JOB}={self.name}")[1]["items"]

    @property
    def jobs(self):
        return [one["metadata"]["name"] for one in self._mine(BATCH)]

    @property
    def pods(self):
        found = self._mine(f"{CORE}/pods")
        alive = [one for one in found if one["status"].get("phase") not in {"Failed", "Succeeded"}]
        self.most_alive = max(self.most_alive, len(alive))
        return found

    def reaches(self, phase):
        poll_until(
            lambda: self.pods is not None and self.status.get("phase") == phase,
            within=SEEN_SECONDS,
            waiting_for=f"{self.name} to be {phase}",
        )

    def settles(self):
        """Wait until all is told that there is to tell of it."""
        poll_until_same(
            lambda: self.server.request("GET", f"{JOBS}/{self.name}")[1]["metadata"]["resourceVersion"],
            seconds=SETTLED_SECONDS,
            within=SEEN_SECONDS,
            waiting_for=f"{self.name} to settle",
        )

    def starts(self, attempt):
        """Put the pod of an attempt on a node and start it."""

        def made():
            return [one for one in self.pods if one["metadata"]["labels"][keys.LABEL_ATTEMPT] == str(attempt)]

        poll_until(made, within=SEEN_SECONDS, waiting_for=f"a pod of attempt {attempt}")
        (pod,) = made()
        path = self._placed(pod)
        self.reaches("Starting")
        return path

    def _placed(self, pod):
        """Put a pod on a node and start it; return its path."""
        path = f"{CORE}/pods/{pod['metadata']['name']}"
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod["metadata"]["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "node"},
        }
        assert self.server.request("POST", f"{path}/binding", binding)[0] == 201
        self._is(path, phase="Running", podIP="10.9.9.9", state={"running": {"startedAt": now()}})
        return path

    def _told_to_end(self, path):
        poll_until(
            lambda: "deletionTimestamp" in self.server.request("GET", path)[1].get("metadata", {}),
            within=SEEN_SECONDS,
            waiting_for="the pod to be told to end",
        )

    def saves(self, path, step):
        """Wait until a pod is told to end; let it save, and go."""
        self._told_to_end(path)
        report = to_json(ExitReport(outcome=Outcome.SUSPENDED, step=step, total_steps=100, checkpoint_step=step))
        ended = {"exitCode": 30, "reason": "Error", "message": report, "startedAt": now(), "finishedAt": now()}
        self._is(path, phase="Failed", state={"terminated": ended})
        self.server.request("DELETE", path, {"gracePeriodSeconds": 0})

    def fails(self, path, reason=FailureReason.TRAINER_ERROR):
        """Let a trainer end by a failure that it tells."""
        self._ends(path, EXIT_CODES[reason], ExitReport(outcome=Outcome.FAILED, reason=reason, message="out of luck"))

    def succeeds(self, path):
        """Let a trainer bring its result."""
        self._ends(path, 0, ExitReport(outcome=Outcome.SUCCEEDED, message="done", step=100, total_steps=100))

    def _ends(self, path, code, report):
        word = "Error" if code else "Completed"
        ended = {"exitCode": int(code), "reason": word, "message": to_json(report)}
        state = {"terminated": {**ended, "startedAt": now(), "finishedAt": now()}}
        self._is(path, phase="Failed" if code else "Succeeded", state=state)

    def _is(self, path, *, state, **status):
        container = {"name": "trainer", "image": "x", "imageID": "x", "ready": False, "restartCount": 0, "state": state}
        code, answer = self.server.request(
            "PATCH", f"{path}/status", {"status": {**status, "containerStatuses": [container]}}
        )
        assert code == 200, answer
