"""The life of a job on a real API server with Kubernetes' own controllers; the test plays the kubelet."""

import pathlib

import pytest
from control_plane import ControlPlane, poll_until
from finetune_operator.api.schema import crd
from operator_process import OperatorProcess
from played_job import BATCH, CORE, SEEN_SECONDS, Story
from real_jobs import JOBS, NAMESPACE

CLAIM = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
CONTROLLERS = ("job-controller", "garbage-collector-controller", "resourcequota-controller")

TOLD_SECONDS = 15
"""From the apply of a job whose pod cannot be made to the reason; the Events are asked after 5."""

ROOM_SECONDS = 90
"""From the end of a quota to a pod: the Job controller tries again after 10, 20, 40 seconds."""


@pytest.fixture(scope="module")
def server(programs, tmp_path_factory):
    with ControlPlane(programs) as running:
        running.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd())
        running.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": CLAIM}
        assert running.request("POST", f"{CORE}/persistentvolumeclaims", claim)[0] == 201
        poll_until(lambda: running.request("GET", JOBS)[0] == 200, within=SEEN_SECONDS, waiting_for="the definition")
        controllers = running.kubeconfig(pathlib.Path(tmp_path_factory.mktemp("controllers")) / "kubeconfig.json")
        running._run(
            "kube-controller-manager",
            f"--kubeconfig={controllers}",
            f"--controllers={','.join(CONTROLLERS)}",
            "--leader-elect=false",
            "--secure-port=0",
        )
        with OperatorProcess(running, pathlib.Path(tmp_path_factory.mktemp("operator"))):
            yield running


def test_a_job_is_suspended_resumed_orphaned_and_cancelled_and_never_runs_twice(server):
    story = Story(server, "life")
    first = story.starts(1)
    story.ask(suspend=True)
    story.reaches("Suspending")
    story.saves(first, 40)
    story.reaches("Suspended")
    assert story.jobs == []
    assert story.status["checkpoint"]["step"] == 40
    assert "step 40" in story.condition("Suspended")["message"]
    assert story.condition("CheckpointAvailable")["status"] == "True"

    story.ask(suspend=False)
    second = story.starts(2)
    (job,) = story.jobs
    orphaning = {"propagationPolicy": "Orphan"}
    assert server.request("DELETE", f"{BATCH}/{job}", orphaning)[0] == 200
    story.saves(second, 60)  # the pod was left behind: the operator ends it

    third = story.starts(3)
    story.ask(cancel=True)
    story.reaches("Stopping")
    story.saves(third, 70)
    story.reaches("Cancelled")
    ends = [(one["number"], one["reason"]) for one in story.status["attempts"]]
    assert ends == [(1, "Suspended"), (2, "Interrupted"), (3, "Cancelled")]
    assert story.most_alive == 1
    assert story.status["checkpoint"]["step"] == 70

    story.ask(ttlSecondsAfterFinished=0)
    poll_until(
        lambda: server.request("GET", f"{JOBS}/life")[0] == 404, within=SEEN_SECONDS, waiting_for="the job to go"
    )


def test_a_job_in_a_queue_is_made_suspended_and_its_admission_and_eviction_are_mirrored(server):
    story = Story(server, "queued", queueName="team")
    story.reaches("Queued")
    (job,) = story.jobs
    path = f"{BATCH}/{job}"
    body = server.request("GET", path)[1]
    assert body["spec"]["suspend"] is True
    assert body["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert story.condition("Admitted")["reason"] == "Queued"

    server.request("PATCH", path, {"spec": {"suspend": False}})  # as Kueue admits it
    pod = story.starts(1)
    assert story.condition("Admitted")["status"] == "True"
    assert story.status["attempts"][0]["queuedSeconds"] >= 0

    server.request("PATCH", path, {"spec": {"suspend": True}})  # as Kueue evicts it
    story.saves(pod, 10)
    story.reaches("Queued")
    assert story.condition("Admitted")["reason"] == "Evicted"
    assert story.jobs == [job]

    server.request("PATCH", path, {"spec": {"suspend": False}})
    poll_until(
        lambda: story.condition("Admitted")["status"] == "True", within=SEEN_SECONDS, waiting_for="its readmission"
    )
    story.ask(suspend=True)  # ours: it leaves the queue
    story.reaches("Suspended")
    assert story.jobs == []
    assert story.condition("Admitted")["status"] == "False"


def test_a_quota_that_is_used_up_is_told_in_kubernetes_words(server):
    quotas = f"{CORE}/resourcequotas"
    full = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}}
    assert server.request("POST", quotas, full)[0] == 201
    poll_until(
        lambda: server.request("GET", f"{quotas}/full")[1].get("status", {}).get("hard"),
        within=SEEN_SECONDS,
        waiting_for="the quota to be counted",
    )
    story = Story(server, "crowded")
    poll_until(
        lambda: story.status.get("columns", {}).get("reason") == "QuotaExceeded",
        within=TOLD_SECONDS,
        waiting_for="the reason",
    )
    assert "exceeded quota: full" in story.status["message"]
    server.request("DELETE", f"{quotas}/full")
    poll_until(lambda: story.pods, within=ROOM_SECONDS, waiting_for="a pod")
    story.starts(1)
    assert [one["number"] for one in story.status["attempts"]] == [1]
