"""What becomes of actions: each may be repeated, and none touches what is not meant."""

import asyncio

import pytest
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.errors import Conflict, NotFound, Overloaded, Rejected
from finetune_operator.cluster.execute import execute
from finetune_operator.cluster.store import Store
from finetune_operator.reconcile.actions import (
    Create,
    Decision,
    Delete,
    ProveIdle,
    Refused,
    Result,
    State,
    Verdict,
)

KEY = JobKey("team", "reviews", "uid-1")
MOMENT = "2026-01-01T00:00:00Z"
LABELS = {"finetune.dev/job-name": "reviews", "finetune.dev/job-uid": "uid-1", "finetune.dev/attempt": "1"}


def an_object(kind, name="reviews-1", *, uid="a", **status):
    metadata = {"namespace": "team", "name": name, "uid": uid, "labels": LABELS, "creationTimestamp": MOMENT}
    return {"kind": kind, "metadata": metadata, "spec": {}, "status": status}


def going(body):
    return body | {"metadata": body["metadata"] | {"deletionTimestamp": MOMENT}}


def reads(body):
    """The same of an inspection."""
    labels = {**LABELS, "finetune.dev/attempt": "0"}
    return body | {"metadata": body["metadata"] | {"labels": labels}}


class Cluster:
    """Holds objects by collection and name, as the API server does: a name is taken, a uid has to fit."""

    jobsets = True

    def __init__(self, *objects, error=None, refused=None):
        self.objects = {(one["kind"], one["metadata"]["name"]): one for one in objects}
        self.error, self.refused, self.writes = error, refused, []

    def _kind(self, resource):
        kinds = {
            "jobs": "Job",
            "jobsets": "JobSet",
            "pods": "Pod",
            "persistentvolumeclaims": "PersistentVolumeClaim",
            "finetunejobs": "FineTuneJob",
        }
        return kinds[resource.plural]

    def _policies(self, verb, kind):
        if self.error is not None:
            raise self.error
        if self.refused == (verb, kind):
            raise Rejected(403, "exceeded quota" if verb == "create" else "a policy keeps it")

    async def create(self, resource, namespace, body):
        self.writes.append(("create", body["kind"], body["metadata"]["name"]))
        self._policies("create", body["kind"])
        place = (body["kind"], body["metadata"]["name"])
        if place in self.objects:
            raise Conflict(409, "exists")
        self.objects[place] = body
        return body

    async def get(self, resource, namespace, name):
        return self.objects[self._kind(resource), name]

    async def delete(self, resource, namespace, name, *, uid, propagation):
        self.writes.append(("delete", propagation, name))
        self._policies("delete", self._kind(resource))
        found = self.objects.get((self._kind(resource), name))
        if found is None:
            raise NotFound(404, "gone")
        if found["metadata"]["uid"] != uid:
            raise Conflict(409, "another uid")
        if propagation == "Foreground":
            self.objects[found["kind"], name] = going(found)
            return going(found)
        del self.objects[found["kind"], name]
        return {"kind": "Status", "status": "Success"}

    async def list(self, resource, namespace, *, label_selector="", field_selector=""):
        assert label_selector == "finetune.dev/job-uid=uid-1"
        return [body for (kind, _name), body in self.objects.items() if kind == self._kind(resource)]


def do(cluster, *actions, store=None):
    decision = Decision(Verdict(State.CREATING, "Created", ""), actions=actions)
    return asyncio.run(execute(cluster, store or Store(), KEY, decision, now=100.0))


def delete(kind="Job", **fields):
    return Delete(**({"kind": kind, "namespace": "team", "name": "reviews-1", "uid": "a"} | fields))


JOB = an_object("Job")


def test_what_was_created_is_known_at_once():
    store = Store()
    assert do(Cluster(), Create(JOB), store=store) == Result(created=1)
    assert store.workload(KEY) == JOB


def test_what_exists_already_counts_as_created_and_is_known():
    store = Store()
    assert do(Cluster(JOB), Create(JOB), store=store) == Result(created=0)
    assert store.workload(KEY) == JOB


def test_a_claim_that_exists_is_taken_and_one_that_goes_is_waited_for():
    claim = an_object("PersistentVolumeClaim", "reviews")
    assert do(Cluster(claim), Create(claim), Create(JOB)) == Result(created=1)
    waiting = do(Cluster(going(claim)), Create(claim), Create(JOB))
    assert waiting.refused.kind == "PersistentVolumeClaim"
    assert "is being deleted" in waiting.refused.message


def test_a_claim_that_is_made_holds_nothing_yet():
    claim = Create(an_object("PersistentVolumeClaim", "reviews"))
    assert do(Cluster(), claim, Create(JOB)) == Result(created=2, new_claim=True)
    quota = Refused("Job", "reviews-1", 403, "exceeded quota")
    assert do(Cluster(refused=("create", "Job")), claim, Create(JOB)) == Result(1, new_claim=True, refused=quota)


def test_the_first_refusal_stops_the_rest_and_is_quoted():
    cluster = Cluster(error=Rejected(403, "exceeded quota"))
    result = do(cluster, Create(an_object("PersistentVolumeClaim", "reviews")), Create(JOB))
    assert result == Result(refused=Refused("PersistentVolumeClaim", "reviews", 403, "exceeded quota"))
    assert len(cluster.writes) == 1


@pytest.mark.parametrize("kind", ["Job", "Pod", "FineTuneJob"])
def test_a_refused_deletion_is_quoted_and_stops_the_rest(kind):
    cluster = Cluster(an_object(kind), refused=("delete", kind))
    refused = Refused(kind, "reviews-1", 403, "a policy keeps it", deleting=True)
    assert do(cluster, delete(kind), Create(an_object("Job", "reviews-2"))) == Result(refused=refused)
    assert len(cluster.writes) == 1


def test_what_may_succeed_later_is_an_error():
    with pytest.raises(Overloaded):
        do(Cluster(error=Overloaded(429, "slow down")), Create(JOB))


def test_a_job_that_goes_is_known_to_go_before_the_watch_tells():
    store = Store()
    store.keep_workload(JOB)
    do(Cluster(JOB), delete(), store=store)
    assert "deletionTimestamp" in store.workload(KEY)["metadata"]


@pytest.mark.parametrize("kind", ["Job", "Pod", "FineTuneJob"])
def test_deleting_twice_is_as_good_as_once(kind):
    cluster = Cluster(an_object(kind))
    assert do(cluster, delete(kind), delete(kind)) == Result()


def test_an_object_of_the_same_name_but_another_uid_is_left_alone():
    cluster = Cluster(an_object("Job", uid="another"))
    assert do(cluster, delete()) == Result()
    assert "deletionTimestamp" not in cluster.objects["Job", "reviews-1"]["metadata"]


FINISHED = {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": MOMENT}]}
NEXT = Create(an_object("Job", "reviews-2", uid="b"))
LIVES = {
    "a Job that has not ended": an_object("Job"),
    "a Job that is being deleted": going(an_object("Job")),
    "a pod that runs": an_object("Pod", phase="Running"),
    "a pod that is being deleted": going(an_object("Pod", phase="Running")),
}
OVER = {
    "nothing": (),
    "what reads a model's numbers, and writes nowhere": (
        reads(an_object("Job", "reviews-0", uid="r")),
        reads(an_object("Pod", "reviews-0-x", uid="s", phase="Running")),
    ),
    "a Job that has ended": (an_object("Job", **FINISHED),),
    "a pod that has ended": (an_object("Pod", phase="Failed"),),
}


@pytest.mark.parametrize("living", LIVES.values(), ids=LIVES)
def test_nothing_is_begun_beside_what_a_live_look_shows_alive(living):
    cluster, store = Cluster(living), Store()
    assert do(cluster, ProveIdle(), NEXT, store=store) == Result(outdated=True)
    assert cluster.writes == []
    assert (*store.workloads(KEY), *store.pods(KEY)) == (living,)


@pytest.mark.parametrize("over", OVER.values(), ids=OVER)
def test_an_attempt_begins_when_a_live_look_shows_nothing_alive(over):
    assert do(Cluster(*over), ProveIdle(), NEXT) == Result(created=1)
