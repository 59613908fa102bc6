"""Why pods do not come or start, as Events tell."""

import asyncio

import pytest
from finetune_operator.api import timestamps
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster import warnings
from finetune_operator.cluster.errors import Rejected, Unreachable
from finetune_operator.cluster.store import Store
from finetune_operator.manifests.names import in_jobset
from finetune_operator.reconcile.snapshot import Trouble

MOMENT = "2026-01-01T00:00:00Z"
AT = timestamps.parse(MOMENT)
MOUNT = {"reason": "FailedMount", "message": "no such volume"}


class Cluster:
    """Tells Events, by namespace; an exception where it cannot."""

    def __init__(self, **events):
        self.events, self.asked = events, []

    async def list(self, resource, namespace, *, field_selector):
        self.asked.append((resource.plural, namespace, field_selector))
        told = self.events.get(namespace, ())
        if isinstance(told, Exception):
            raise told
        return list(told)


def about(uid, event, moment="2026-01-01T00:00:01Z"):
    return {"involvedObject": {"uid": uid}, "lastTimestamp": moment, **event}


def key(name="one", namespace="team"):
    return JobKey(namespace, name, f"uid-of-{name}")


def metadata(job, kind):
    labels = {"finetune.dev/job-name": job.name, "finetune.dev/job-uid": job.uid, "finetune.dev/attempt": "1"}
    names = {"namespace": job.namespace, "name": f"{job.name}-{kind}", "uid": f"{kind}-of-{job.name}"}
    return {**names, "labels": labels, "creationTimestamp": MOMENT}


def workload(job, spec=None, **status):
    return {"metadata": metadata(job, "job"), "spec": spec or {}, "status": status}


def pod(job, **status):
    return {"metadata": metadata(job, "pod"), "spec": {"nodeName": "node"}, "status": {"phase": "Pending", **status}}


def keep(store, job, *children):
    store.keep_job({"metadata": {"namespace": job.namespace, "name": job.name, "uid": job.uid}})
    for child in children:
        (store.keep_pod if "nodeName" in child["spec"] else store.keep_workload)(child)


def ask(store, cluster, after=60.0):
    return asyncio.run(warnings.ask(cluster, store, AT + after))


LATE = {
    "a Job that makes no pod": ("job-of-one", (workload(key()),), 5),
    "a Job that makes too few": ("job-of-one", (workload(key(), {"parallelism": 2}), pod(key(), phase="Running")), 5),
    "a Job that was held back until now": ("job-of-one", (workload(key(), startTime="2026-01-01T01:00:00Z"),), 3605),
    "a pod that a node does not start": ("pod-of-one", (workload(key()), pod(key())), 8),
}
PATIENT = {
    "a Job that was just made": ((workload(key()),), 4),
    "a pod that was just made": ((workload(key()), pod(key())), 7),
    "a pod that says itself why": (
        (workload(key()), pod(key(), conditions=[{"type": "PodScheduled", "status": "False"}])),
        60,
    ),
    "a pod that runs": ((workload(key()), pod(key(), phase="Running")), 60),
    "a Job in a queue": ((workload(key(), {"suspend": True}),), 60),
    "a Job that has failed": ((workload(key(), conditions=[{"type": "Failed", "status": "True"}]),), 60),
    "no Job at all": ((), 60),
}


@pytest.mark.parametrize(("uid", "children", "age"), LATE.values(), ids=LATE)
def test_the_newest_warning_is_kept_of_what_is_late(uid, children, age):
    store = Store()
    keep(store, key(), *children)
    old = {"reason": "FailedCreate", "message": "old", "eventTime": "2026-01-01T00:00:00.5Z", "lastTimestamp": None}
    cluster = Cluster(team=[about(uid, MOUNT), about(uid, old, None), about("another", old)])
    assert ask(store, cluster, age) == [key()]
    assert store.trouble(key()) == (uid, Trouble("FailedMount", "no such volume"))


@pytest.mark.parametrize(("children", "age"), PATIENT.values(), ids=PATIENT)
def test_no_events_are_read_without_need(children, age):
    store, cluster = Store(), Cluster()
    keep(store, key(), *children)
    assert ask(store, cluster, age) == []
    assert cluster.asked == []


def test_of_a_jobset_the_warnings_about_the_job_that_it_made_count():
    store, made = Store(), in_jobset("one-job")
    jobset = {**workload(key()), "kind": "JobSet"}
    keep(store, key(), jobset)
    event = {"involvedObject": {"kind": "Job", "name": made, "uid": "not known here"}, **MOUNT}
    other = {"involvedObject": {"kind": "Pod", "name": made, "uid": "another"}, **MOUNT, "message": "of a pod"}
    assert ask(store, Cluster(team=[event, other])) == [key()]
    assert store.trouble(key()) == ("job-of-one", Trouble(**MOUNT))


def test_a_namespace_is_asked_once_for_all_its_jobs():
    store, jobs = Store(), [key(f"job-{number}") for number in range(20)]
    for job in jobs:
        keep(store, job, workload(job), pod(job))
    cluster = Cluster(team=[about("pod-of-job-7", MOUNT)])
    assert ask(store, cluster) == [key("job-7")]
    assert cluster.asked == [("events", "team", "type=Warning")]


def test_only_news_is_news_and_what_is_no_longer_told_is_news():
    store, cluster = Store(), Cluster(team=[about("job-of-one", MOUNT)])
    keep(store, key(), workload(key()))
    assert [ask(store, cluster), ask(store, cluster)] == [[key()], []]
    assert [ask(store, Cluster()), ask(store, Cluster())] == [[key()], []]
    assert store.trouble(key()) is None


@pytest.mark.parametrize("error", [Rejected(403, "events is forbidden"), Unreachable(0, "timed out")])
def test_a_namespace_that_cannot_be_read_leaves_what_was_known_and_the_others(error):
    store, other = Store(), key("other", "another")
    keep(store, key(), workload(key()))
    keep(store, other, workload(other))
    ask(store, Cluster(team=[about("job-of-one", MOUNT)]))
    assert ask(store, Cluster(team=error, another=[about("job-of-other", MOUNT)])) == [other]
    assert store.trouble(key()) is not None


def test_a_job_that_is_gone_leaves_nothing():
    store = Store()
    keep(store, key(), workload(key()))
    ask(store, Cluster(team=[about("job-of-one", MOUNT)]))
    store.forget_job(key())
    assert store.trouble(key()) is None
