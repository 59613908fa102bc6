"""Another release of the operator takes over jobs in every situation, and the one before comes back."""

import contextlib
import pathlib
import time

import previous_release
import pytest
import yaml
from audit import OPERATOR, writes
from control_plane import ControlPlane, poll_until
from finetune_operator.api import keys
from operator_process import OperatorProcess
from played_job import BATCH, CORE, SEEN_SECONDS, Story
from real_jobs import JOBS, NAMESPACE

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CLAIM = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}

CONTROLLERS = "job-controller,garbage-collector-controller"

QUIET_SECONDS = 3
"""How long nothing may happen, once the new operator has looked at all jobs."""

REMEMBERED = ("startTime", "completionTime", "plan", "progress", "checkpoint", "attempts", "result")

MOST_STATUS_WRITES = 1
"""Of each job, when another release takes over: it may say more than the one before, once."""


@pytest.fixture(scope="module")
def previous(tmp_path_factory):
    return previous_release.unpacked(tmp_path_factory.mktemp("previous"))


class Cluster:
    """An API server with Kubernetes' controllers, and one operator at a time."""

    def __init__(self, server, folder):
        self.server, self.folder, self.releases = server, folder, 0

    @contextlib.contextmanager
    def operator_of(self, checkout):
        """Run the operator of a checkout. Its definition is there before, as every way to install it sees to."""
        self.defines(checkout)
        self.releases += 1
        with OperatorProcess(
            self.server, self.folder, name=f"release-{self.releases}", checkout=checkout, logs={"level": "info"}
        ) as operator:
            yield operator

    def defines(self, checkout):
        (file,) = (checkout / "crds").glob("*.yaml")
        body = yaml.safe_load(file.read_text("utf-8"))
        if self.server.request("POST", DEFINITIONS, body)[0] != 201:
            path = f"{DEFINITIONS}/{body['metadata']['name']}"
            code, answer = self.server.request("PATCH", path, {"spec": body["spec"]})
            assert code == 200, answer
        self.jobs()

    def jobs(self):
        """Count the jobs; for a moment after a new definition the API server begins anew and answers nothing."""
        answers = []

        def answered():
            answers.append(self.server.request("GET", JOBS))
            return answers[-1][0] == 200

        poll_until(answered, within=SEEN_SECONDS, waiting_for="the API")
        return len(answers[-1][1]["items"])


@pytest.fixture(scope="module")
def cluster(programs, tmp_path_factory):
    with ControlPlane(programs) as running:
        running.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": CLAIM}
        assert running.request("POST", f"{CORE}/persistentvolumeclaims", claim)[0] == 201
        controllers = running.kubeconfig(tmp_path_factory.mktemp("controllers") / "kubeconfig.json")
        running._run(
            "kube-controller-manager",
            f"--kubeconfig={controllers}",
            f"--controllers={CONTROLLERS}",
            "--leader-elect=false",
            "--secure-port=0",
        )
        yield Cluster(running, tmp_path_factory.mktemp("operators"))


def children(story):
    """What the operator made for a job and what came of it: uid, and the generation, which counts writes to a spec."""
    found = [one["metadata"] for path in (BATCH, f"{CORE}/pods") for one in story._mine(path)]
    return {(one["name"], one["uid"], one.get("generation")) for one in found}


def claims_of(story):
    """The claims that were made for a job, and those that its pods use."""
    made = {one["metadata"]["uid"] for one in story._mine(f"{CORE}/persistentvolumeclaims")}
    volumes = [volume for pod in story.pods for volume in pod["spec"]["volumes"]]
    return made, {one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one}


def assert_holds(told, now, where):
    """What was told is told still; more may be."""
    if isinstance(told, dict):
        for name, value in told.items():
            assert name in now, f"{where}.{name} is lost"
            assert_holds(value, now[name], f"{where}.{name}")
    elif isinstance(told, list) and isinstance(now, list):
        assert len(told) == len(now), f"{where} had {len(told)} entries, and has {len(now)}"
        for number, (old, new) in enumerate(zip(told, now, strict=True)):
            assert_holds(old, new, f"{where}[{number}]")
    else:
        assert told == now, where


class Takeover:
    """Jobs as one operator left them, and what the next one may do to them: tell their status anew, once."""

    def __init__(self, cluster, *stories):
        self.cluster, self.stories = cluster, stories
        self.children = {one.name: children(one) for one in stories}
        self.told = {one.name: one.status for one in stories}
        self.since = cluster.server.audit_log.stat().st_size

    def changes_nothing(self, operator):
        number = self.cluster.jobs()
        poll_until(
            lambda: operator.metric("finetune_operator_reconcile_total") >= number,
            within=SEEN_SECONDS,
            waiting_for="the new operator to have looked at all jobs",
        )
        until = time.monotonic() + QUIET_SECONDS
        poll_until(lambda: time.monotonic() > until, within=60, waiting_for="quiet to pass")
        written = [
            one for one in writes(self.cluster.server.audit_log, self.since) if one.user == OPERATOR and one.done
        ]
        for story in self.stories:
            assert children(story) == self.children[story.name], story.name
            mine = [one for one in written if story.name in one.name]
            status = [one for one in mine if one.resource == f"{keys.PLURAL}/status"]
            assert [one for one in mine if one not in status and one.resource != "events"] == [], story.name
            assert len(status) <= MOST_STATUS_WRITES, story.name
            told, now = self.told[story.name], story.status
            assert now["phase"] == told["phase"], story.name
            for field in REMEMBERED:
                assert_holds(told.get(field, {}), now.get(field, {}), f"{story.name}: status.{field}")


def test_jobs_in_every_situation_pass_from_release_to_release_and_back(cluster, previous):
    with cluster.operator_of(previous):
        trains, short = Story(cluster.server, "trains"), Story(cluster.server, "short")
        pod, short_pod = trains.starts(1), short.starts(1)
        resumed = _saved(cluster, "resumed", step=40)
        resumed.ask(suspend=False)
        resumed.starts(2)
        asleep = _saved(cluster, "asleep", step=30)
        done = Story(cluster.server, "done")
        done.succeeds(done.starts(1))
        done.reaches("Succeeded")
        queued = Story(cluster.server, "queued", queueName="team")
        queued.reaches("Queued")
        broken = Story(cluster.server, "broken", checkpoints={"storage": {"template": {"size": "1Gi"}}})
        broken.fails(broken.starts(1))
        broken.reaches("Restarting")
    steady = (trains, resumed, asleep, done, queued)

    handed_over = Takeover(cluster, short, *steady)
    first_end, claims = broken.status["attempts"][0], claims_of(broken)
    with cluster.operator_of(ROOT) as operator:
        handed_over.changes_nothing(operator)
        broken.fails(broken.starts(2))
        broken.reaches("Restarting")
        short.succeeds(short_pod)
        short.reaches("Succeeded")
        newer = Story(cluster.server, "newer")
        newer.starts(1)
        newer.settles()

    given_back = Takeover(cluster, short, newer, *steady)
    given_back.told |= {one.name: handed_over.told[one.name] for one in steady}
    with cluster.operator_of(previous) as operator:
        given_back.changes_nothing(operator)
        broken.starts(3)
        assert_holds(first_end, broken.status["attempts"][0], "broken: status.attempts[0]")
        assert [one["reason"] for one in broken.status["attempts"][:2]] == ["TrainerError"] * 2
        assert claims_of(broken) == claims
        asleep.ask(suspend=False)
        asleep.starts(2)
        (job,) = queued.jobs
        cluster.server.request("PATCH", f"{BATCH}/{job}", {"spec": {"suspend": False}})  # as Kueue admits it
        queued.starts(1)
        trains.succeeds(pod)
        trains.reaches("Succeeded")
        for story in (trains, short):
            assert [(one["number"], one["reason"]) for one in story.status["attempts"]] == [(1, "Succeeded")]
        assert {one.most_alive for one in (trains, short, resumed, asleep, queued, broken, newer)} == {1}


def _saved(cluster, name, *, step):
    """Return a job that was suspended after it had saved."""
    story = Story(cluster.server, name)
    pod = story.starts(1)
    story.ask(suspend=True)
    story.saves(pod, step)
    story.reaches("Suspended")
    return story
