"""How API objects are read."""

import asyncio

import pytest
from builders import a_job
from finetune_operator.api import timestamps
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.errors import NotFound
from finetune_operator.cluster.observe import observe
from finetune_operator.cluster.store import Store
from finetune_operator.manifests.volumes import Required
from finetune_operator.planning.profiles import Profiles
from finetune_operator.reconcile.snapshot import InvalidSpec, Missing

KEY = JobKey("team", "reviews", "uid-1")
ROWS = Required("ConfigMap", "rows", "spec.dataset.source.configMap", "rows.jsonl")
MOMENT = "2026-01-01T00:00:00Z"
AT = timestamps.parse(MOMENT)
LABELS = {"finetune.dev/job-name": "reviews", "finetune.dev/job-uid": "uid-1", "finetune.dev/attempt": "3"}


class Cluster:
    """Knows which objects exist."""

    def __init__(self, *names, keys=None):
        self.names, self.keys = names, keys

    async def exists(self, resource, namespace, name):
        return name in self.names

    async def get(self, resource, namespace, name):
        if self.keys is None:
            raise NotFound(404, "not found")
        return {"binaryData": dict.fromkeys(self.keys, "")}


def job(**parts):
    metadata = {"namespace": "team", "name": "reviews", "uid": "uid-1", "generation": 2, "creationTimestamp": MOMENT}
    return {"metadata": metadata, "spec": a_job().model_dump(mode="json", by_alias=True, exclude_none=True)} | parts


def workload(**status):
    return {"metadata": {"namespace": "team", "name": "reviews-3", "labels": LABELS, "creationTimestamp": MOMENT}} | {
        "status": status
    }


def pod(**status):
    body = {"namespace": "team", "name": "reviews-3-x", "labels": LABELS, "creationTimestamp": MOMENT}
    return {"metadata": body, "spec": {"nodeName": "node"}, "status": status}


def container(**state):
    return [{"name": "sidecar", "state": {}}, {"name": "trainer", "state": state}]


def look(body=None, *children, cluster=None):
    store = Store()
    store.keep_job(body or job())
    for child in children:
        (store.keep_workload if "nodeName" not in child.get("spec", {}) else store.keep_pod)(child)
    return asyncio.run(observe(cluster or Cluster("samples"), store, KEY, profiles=Profiles(), now=AT))


def test_a_job_that_is_gone_is_nothing():
    assert asyncio.run(observe(Cluster(), Store(), KEY, profiles=Profiles(), now=AT)) is None


def test_a_new_job_is_read_whole():
    seen = look()
    assert (seen.meta.key, seen.meta.generation, seen.meta.created_at, seen.meta.deleting) == (KEY, 2, AT, False)
    assert seen.spec == a_job()
    assert (seen.workload, seen.pod, seen.missing) == (None, None, ())


def test_what_the_spec_names_and_is_not_there_is_missing_once():
    seen = look(cluster=Cluster())
    assert seen.missing == (Missing(Required("PersistentVolumeClaim", "samples", "spec.dataset.source.claim.name")),)


KEYS = {
    "the ConfigMap is missing": (None, (Missing(ROWS),)),
    "its key is missing": (("other", "another"), (Missing(ROWS, ("another", "other")),)),
    "all is there": (("rows.jsonl",), ()),
}


@pytest.mark.parametrize(("keys", "want"), KEYS.values(), ids=KEYS)
def test_a_dataset_in_a_config_map_needs_its_key(keys, want):
    rows = {"source": {"configMap": {"name": "rows", "key": "rows.jsonl"}}}
    spec = a_job(dataset=rows).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert look(job(spec=spec), cluster=Cluster("samples", keys=keys)).missing == want


def test_nothing_is_looked_for_once_the_attempt_is_made():
    assert look(job(), workload(), cluster=Cluster()).missing == ()


def test_a_spec_of_another_version_is_told_with_its_field():
    seen = look(job(spec={"task": "poetry"}))
    assert isinstance(seen.spec, InvalidSpec)
    assert seen.spec.message.startswith("spec.")


def test_a_status_of_another_version_counts_as_none():
    assert look(job(status={"conditions": "?"})).previous.conditions == ()


@pytest.mark.parametrize(
    ("kind", "complete", "reason"), [("Complete", True, None), ("Failed", False, "DeadlineExceeded")]
)
def test_the_end_of_a_job_is_read_from_its_conditions(kind, complete, reason):
    condition = {"type": kind, "status": "True", "lastTransitionTime": MOMENT, "reason": reason}
    seen = look(job(), workload(conditions=[condition])).workload
    assert (seen.attempt, seen.complete, seen.failed_reason, seen.finished_at) == (3, complete, reason, AT)


def test_an_active_job_has_no_end():
    assert look(job(), workload(active=1)).workload.finished_at is None


def test_a_pod_that_no_node_takes_says_why():
    condition = {"type": "PodScheduled", "status": "False", "message": "Insufficient memory"}
    assert look(job(), workload(), pod(conditions=[condition])).pod.unschedulable == "Insufficient memory"


def test_a_pod_that_waits_says_for_what():
    seen = look(
        job(), workload(), pod(containerStatuses=container(waiting={"reason": "ErrImagePull", "message": "no"}))
    )
    assert (seen.pod.waiting_reason, seen.pod.waiting_message, seen.pod.started_at) == ("ErrImagePull", "no", None)


def test_a_running_pod_has_started():
    seen = look(job(), workload(), pod(podIP="10.0.0.7", containerStatuses=container(running={"startedAt": MOMENT})))
    assert (seen.pod.started_at, seen.pod.ending, seen.pod.ip, seen.pod.node) == (AT, None, "10.0.0.7", "node")


def test_a_container_that_ended_says_how():
    state = {"exitCode": 10, "reason": "Error", "message": "{}", "startedAt": MOMENT, "finishedAt": MOMENT}
    ending = look(job(), workload(), pod(containerStatuses=container(terminated=state))).pod.ending
    assert (ending.exit_code, ending.reason, ending.message, ending.finished_at) == (10, "Error", "{}", AT)


def test_a_disrupted_pod_says_by_whom():
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    assert look(job(), workload(), pod(conditions=[condition])).pod.disruption == "PreemptionByScheduler"
