"""A model that nobody knows is read from its claim, on a real API server; the test plays kubelet and trainer."""

import pathlib

import pytest
from control_plane import ControlPlane, poll_until
from finetune_operator.api import keys
from finetune_operator.api.schema import crd
from finetune_trainer.contract import InspectionReport
from operator_process import OperatorProcess
from played_job import BATCH, CORE, SEEN_SECONDS, Story, now
from real_jobs import JOBS, NAMESPACE

CLAIM = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
MODEL = {"name": "my-team/own", "source": {"claim": {"name": "data", "path": "own"}}}
CONFIG = {
    "model_type": "llama",
    "hidden_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "intermediate_size": 512,
    "vocab_size": 2048,
    "max_position_embeddings": 512,
}


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
            "--controllers=job-controller,garbage-collector-controller",
            "--leader-elect=false",
            "--secure-port=0",
        )
        yield running


@pytest.fixture(scope="module")
def operator(server, tmp_path_factory):
    with OperatorProcess(server, pathlib.Path(tmp_path_factory.mktemp("operator"))) as running:
        yield running


class Reading(Story):
    """A job whose model lies on a claim and is in no catalog."""

    def __init__(self, server, name, **spec):
        super().__init__(server, name, **{"model": MODEL} | spec)

    def is_read(self, *, not_by=()):
        """Put the pod of the inspection on a node and start it; return its path."""

        def made():
            return [
                one
                for one in self.pods
                if one["metadata"]["labels"][keys.LABEL_ATTEMPT] == "0"
                and one["metadata"]["name"] not in not_by
                and "nodeName" not in one["spec"]
            ]

        poll_until(made, within=SEEN_SECONDS, waiting_for=f"a pod that reads the model of {self.name}")
        (pod,) = made()
        return self._placed(pod)

    def answers(self, path, **fields):
        self._ends(path, 0, InspectionReport(**fields or {"config": CONFIG}))

    def breaks(self, path):
        ended = {"exitCode": 1, "reason": "Error", "message": "OSError", "startedAt": now(), "finishedAt": now()}
        self._is(path, phase="Failed", state={"terminated": ended})

    def goes(self, path):
        """End a pod that was told to."""
        self._told_to_end(path)
        self.breaks(path)
        self.server.request("DELETE", path, {"gracePeriodSeconds": 0})

    def has(self, *numbers):
        """Wait until these are the numbers of its Jobs."""
        poll_until(
            lambda: sorted(name.rpartition("-")[2] for name in self.jobs) == [str(one) for one in numbers],
            within=SEEN_SECONDS,
            waiting_for=f"Jobs {numbers} of {self.name}",
        )

    @property
    def reason(self):
        return self.status["columns"]["reason"]


def test_a_model_is_read_and_then_the_job_is_planned_and_runs(server, operator):
    story = Reading(server, "unknown")
    pod = story.is_read()
    story.reaches("Pending")
    assert (story.reason, story.condition("Accepted")["status"]) == ("Inspecting", "Unknown")
    assert "plan" not in story.status
    story.answers(pod)
    trainer = story.starts(1)
    story.has(1)  # what read the model is gone
    status = story.status
    assert status["modelShape"] == {
        "architecture": "llama",
        "hiddenSize": 192,
        "layers": 4,
        "attentionHeads": 6,
        "keyValueHeads": 6,
        "headDim": 32,
        "intermediateSize": 512,
        "vocabularySize": 2048,
        "tiedEmbeddings": False,
        "maxPositions": 512,
        "gated": True,
        "biases": "none",
        "normsPerLayer": 2,
        "learnedPositions": 0,
    }
    assert status["plan"]["totalParameters"] > 1_000_000
    assert [one["number"] for one in status["attempts"]] == [1]
    assert story.condition("Accepted")["status"] == "True"
    story.succeeds(trainer)
    story.reaches("Succeeded")
    assert story.status["modelShape"] == status["modelShape"]


REFUSALS = {
    "missing": ({"problem": "does not exist: its folder is empty"}, "ModelConfigMissing", "own/config.json on claim"),
    "wrong": ({"config": CONFIG | {"hidden_size": 0}}, "ModelConfigInvalid", "hidden_size must be a whole number"),
    "moe": ({"config": CONFIG | {"model_type": "qwen3_moe"}}, "ModelConfigInvalid", "qwen3_moe has experts"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_config_that_is_of_no_use_refuses_the_job_at_once(server, operator, name):
    told, want_reason, want_words = REFUSALS[name]
    story = Reading(server, name)
    story.answers(story.is_read(), **told)
    story.reaches("Failed")
    assert story.reason == want_reason
    assert want_words in story.status["message"]
    assert "spec.model.shape" in story.status["message"]
    assert story.condition("Accepted")["status"] == "False"
    assert "attempts" not in story.status or story.status["attempts"] == []
    story.has()


def test_a_job_that_is_suspended_reads_nothing_and_reads_anew_when_it_goes_on(server, operator):
    story = Reading(server, "sleepy")
    pod = story.is_read()
    story.ask(suspend=True)
    story.reaches("Suspended")
    story.goes(pod)
    story.has()
    story.ask(suspend=False)
    story.answers(story.is_read())
    story.starts(1)
    story.has(1)


def test_a_job_that_is_cancelled_while_it_is_read_ends(server, operator):
    story = Reading(server, "cancelled")
    pod = story.is_read()
    story.ask(cancel=True)
    story.reaches("Cancelled")
    story.goes(pod)
    story.has()


def test_a_reading_that_breaks_off_is_tried_again(server, operator):
    story = Reading(server, "again")
    first = story.is_read()
    story.breaks(first)
    story.answers(story.is_read(not_by=(first.rpartition("/")[2],)))
    story.starts(1)
    story.has(1)


def test_an_inspection_that_is_deleted_by_hand_is_made_anew(server, operator):
    story = Reading(server, "byhand")
    pod = story.is_read()
    (job,) = story.jobs
    assert server.request("DELETE", f"{BATCH}/{job}", {"propagationPolicy": "Foreground"})[0] == 200
    story.goes(pod)
    story.answers(story.is_read())
    story.starts(1)
    story.has(1)


def test_a_job_made_again_under_its_name_is_read_by_an_inspection_of_its_own(server, operator):
    story = Reading(server, "twice")
    pod = story.is_read()
    (job,) = story.jobs
    assert server.request("DELETE", f"{JOBS}/twice", {"propagationPolicy": "Background"})[0] == 200
    again = Reading(server, "twice")
    story.goes(pod)
    again.answers(again.is_read())
    again.starts(1)
    again.has(1)
    assert job not in again.jobs


def test_an_operator_that_dies_before_the_answer_goes_on_with_it(server, operator):
    story = Reading(server, "orphan")
    pod = story.is_read()
    story.reaches("Pending")
    operator.process.kill()
    operator.process.wait()
    story.answers(pod)
    operator.start()
    story.starts(1)
    story.has(1)
    assert story.status["modelShape"]["hiddenSize"] == 192
