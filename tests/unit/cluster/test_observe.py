"""How API objects are read."""

import asyncio

import pytest
from builders import a_job
from finetune_operator.api import keys, timestamps
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.client import JOBS, RESOURCES
from finetune_operator.cluster.errors import NotFound
from finetune_operator.cluster.observe import look as read_all
from finetune_operator.cluster.observe import observe
from finetune_operator.cluster.queues import told_of
from finetune_operator.cluster.store import Store
from finetune_operator.manifests.volumes import Required
from finetune_operator.planning.profiles import Profiles
from finetune_operator.reconcile.attempts.underway import RUNNING_RESYNC, WAITING_RESYNC
from finetune_operator.reconcile.snapshot import Missing, Trouble
from finetune_trainer.contract import Progress

KEY = JobKey("team", "reviews", "uid-1")
ROWS = Required("ConfigMap", "rows", "spec.dataset.source.configMap", "rows.jsonl")
MOMENT = "2026-01-01T00:00:00Z"
AT = timestamps.parse(MOMENT)
LABELS = {"finetune.dev/job-name": "reviews", "finetune.dev/job-uid": "uid-1", "finetune.dev/attempt": "3"}


class Cluster:
    """Knows which objects exist, and what was asked of it."""

    jobsets = False

    def __init__(self, *names, keys=None, error=None, job=None, **lists):
        self.names, self.keys, self.error, self.lists, self.asked = names, keys, error, lists, []
        self.job = job

    async def get(self, resource, namespace, name):
        self.asked.append((resource.plural, name))
        if resource is JOBS and self.job is not None:
            return self.job
        if resource is RESOURCES["ConfigMap"] and self.keys is not None:
            return {"binaryData": dict.fromkeys(self.keys, "")}
        if name not in self.names:
            raise NotFound(404, "not found")
        return {"spec": {"accessModes": ["ReadWriteOnce"]}}

    get_shared = get

    async def list(self, resource, namespace, *, label_selector="", field_selector=""):
        self.asked.append((resource.plural, label_selector or field_selector))
        if self.error is not None:
            raise self.error
        return list(self.lists.get(resource.plural, ()))


def job(**parts):
    metadata = {"namespace": "team", "name": "reviews", "uid": "uid-1", "generation": 2, "creationTimestamp": MOMENT}
    return {"metadata": metadata, "spec": a_job().model_dump(mode="json", by_alias=True, exclude_none=True)} | parts


def workload(**status):
    metadata = {"namespace": "team", "name": "reviews-3", "uid": "j", "labels": LABELS, "creationTimestamp": MOMENT}
    return {"metadata": metadata, "status": status}


def pod(**status):
    body = {"namespace": "team", "name": "reviews-3-x", "uid": "p", "labels": LABELS, "creationTimestamp": MOMENT}
    return {"metadata": body, "spec": {"nodeName": "node"}, "status": status}


def container(**state):
    return [{"name": "trainer", "state": state}]


def attempts(*fields):
    return {"observedGeneration": 1, "attempts": [{"number": 3, "job": "reviews-3"} | each for each in fields]}


def look(body=None, *children, cluster=None, now=AT, store=None):
    store = store or Store()
    store.keep_job(body or job())
    for child in children:
        (store.keep_workload if "nodeName" not in child.get("spec", {}) else store.keep_pod)(child)
    return asyncio.run(observe(cluster or Cluster("samples"), store, KEY, profiles=Profiles(), now=now))


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


COMPLETE = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": MOMENT}]}
FAILED = {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": MOMENT}]}


def test_what_the_next_attempt_needs_is_looked_for_when_one_has_failed():
    assert len(look(job(), workload(**FAILED), cluster=Cluster()).missing) == 1
    assert look(job(), workload(**COMPLETE), cluster=Cluster()).missing == ()


@pytest.mark.parametrize("word", ["suspend", "cancel"])
def test_nothing_is_looked_for_where_nothing_is_to_begin(word):
    spec = a_job(**{word: True}).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert look(job(spec=spec), cluster=Cluster()).missing == ()


def test_claims_that_one_node_at_a_time_can_mount_are_told():
    assert look().unshared == ("samples",)
    shared = Cluster("samples")

    async def get(*_):
        return {"spec": {"accessModes": ["ReadWriteMany"]}}

    shared.get_shared = get
    assert look(cluster=shared).unshared == ()


def test_a_claim_that_is_written_has_to_be_writable_from_several_nodes():
    writes = {
        "checkpoints": {"storage": {"claim": {"name": "work"}}},
        "output": {"destinations": [{"claim": {"name": "results"}}, {"claim": {"name": "samples"}}]},
    }
    spec = a_job(**writes).model_dump(mode="json", by_alias=True, exclude_none=True)
    cluster = Cluster("samples", "work", "results")

    async def get(*_):
        return {"spec": {"accessModes": ["ReadOnlyMany"]}}

    cluster.get_shared = get
    assert look(cluster=cluster).unshared == ()
    assert look(job(spec=spec), cluster=cluster).unshared == ("samples", "work", "results")


ENDED = {"observedGeneration": 1, "conditions": []} | {
    "conditions": [
        {
            "type": "Finished",
            "status": "True",
            "reason": "Succeeded",
            "observedGeneration": 1,
            "lastTransitionTime": MOMENT,
        }
    ]
}


def test_a_job_that_has_ended_costs_no_request():
    cluster = Cluster()
    look(job(status=ENDED), workload(), cluster=cluster, now=AT + 10_000)
    assert cluster.asked == []


def test_an_attempt_that_the_watches_do_not_know_is_looked_for_live():
    begun = job(status=attempts({}))
    cluster = Cluster("samples", job=begun, jobs=[workload()], pods=[pod()])
    seen = look(begun, cluster=cluster)
    assert (seen.listed, seen.workload.name, seen.pod.name) == (True, "reviews-3", "reviews-3-x")
    mine = "finetune.dev/job-uid=uid-1"
    assert cluster.asked[:3] == [("finetunejobs", "reviews"), ("jobs", mine), ("pods", mine)]


INSPECTED = {"conditions": [ENDED["conditions"][0] | {"type": "Running", "status": "False", "reason": "Inspecting"}]}


@pytest.mark.parametrize("status", [attempts({}), INSPECTED], ids=["attempt", "inspection"])
def test_a_job_whose_child_is_not_known_is_looked_for_as_well(status):
    store, cluster = Store(), Cluster(job=job() | {"metadata": job()["metadata"] | {"uid": "another"}})
    assert look(job(status=status), cluster=cluster, store=store) is None
    assert (cluster.asked, store.job(KEY)) == ([("finetunejobs", "reviews")], None)


def test_what_was_said_of_a_job_meanwhile_counts():
    newer = job(status=ENDED)
    newer["metadata"] |= {"resourceVersion": "7", "generation": 3}
    seen = look(job(status=attempts({})), cluster=Cluster(job=newer))
    assert (seen.meta.generation, seen.listed) == (3, False)


def test_what_others_labelled_is_not_taken_for_a_child():
    forged = pod() | {"metadata": pod()["metadata"] | {"labels": LABELS | {"finetune.dev/attempt": "x"}}}
    begun = job(status=attempts({}))
    assert look(begun, cluster=Cluster("samples", job=begun, pods=[forged])).pods == ()


def test_an_attempt_that_has_ended_is_not_looked_for():
    cluster = Cluster("samples")
    assert not look(job(status=attempts({"endTime": MOMENT})), cluster=cluster).listed
    assert ("pods", "finetune.dev/job-uid=uid-1") not in cluster.asked


def test_an_attempt_that_brings_no_news_is_looked_at_live_again():
    store = Store()
    cluster = Cluster(jobs=[workload(startTime=MOMENT)], pods=[pod(phase="Running")])
    started = (job(), workload(startTime=MOMENT), pod(phase="Running"))
    assert not look(*started, cluster=cluster, store=store).listed
    assert look(*started, cluster=cluster, store=store, now=AT + RUNNING_RESYNC).listed
    assert not look(*started, cluster=cluster, store=store, now=AT + RUNNING_RESYNC + 1).listed


def test_a_trainer_that_speaks_is_news():
    store = Store()
    store.looked(KEY, AT)
    store.keep_progress(KEY, Progress(attempt=3, updated_at=AT + 200))
    seen = look(job(), workload(), pod(phase="Running"), store=store, now=AT + RUNNING_RESYNC)
    assert not seen.listed
    assert seen.progress is not None


def test_an_attempt_that_waits_is_looked_at_live_more_seldom():
    store = Store()
    store.looked(KEY, AT)
    cluster = Cluster(jobs=[workload()])
    assert not look(job(), workload(), cluster=cluster, store=store, now=AT + RUNNING_RESYNC).listed
    assert look(job(), workload(), cluster=cluster, store=store, now=AT + WAITING_RESYNC).listed


def test_the_word_of_an_earlier_attempts_trainer_is_not_the_newest_ones():
    store = Store()
    store.keep_progress(KEY, Progress(attempt=2))
    assert look(job(), workload(), store=store).progress is None


def test_a_pod_that_is_gone_is_still_seen_with_its_end():
    store = Store()
    store.keep_job(job())
    store.forget_pod(pod(phase="Failed"))
    (gone,) = look(job(), workload(), store=store).pods
    assert (gone.gone_at, gone.alive) == (0.0, False)


TOLD = {
    "about a Job that makes no pod": ("j", (workload(),), True),
    "about a pod that does not start": ("p", (workload(), pod()), True),
    "about another pod": ("q", (workload(), pod()), False),
    "about a Job that has its pod": ("j", (workload(), pod()), False),
    "about a pod that has started": (
        "p",
        (workload(), pod(containerStatuses=container(running={"startedAt": MOMENT}))),
        False,
    ),
    "about a Job in a queue": ("j", (workload() | {"spec": {"suspend": True}},), False),
    "about a Job that has ended": ("j", (workload(**COMPLETE),), False),
    "about a Job that is no more": ("j", (), False),
}


@pytest.mark.parametrize(("uid", "children", "counts"), TOLD.values(), ids=TOLD)
def test_a_warning_counts_while_what_it_was_about_is_late(uid, children, counts):
    store, trouble = Store(), Trouble("FailedMount", "no such volume")
    store.keep_trouble(KEY, uid, trouble)
    assert look(job(), *children, store=store).trouble == (trouble if counts else None)


WORDS = {
    "after its queue let it go": ("team", MOMENT, AT + 1, True),
    "before its queue let it go again": ("team", MOMENT, AT - 1, False),
    "before its queue let it go again, and its Job does not know yet": ("team", "", AT - 1, False),
    "before its queue took its place": ("team", None, AT - 1, True),
    "of a job without a queue, by a clock that is behind": (None, MOMENT, AT - 1, True),
    "of a job without a queue whose Job is late": (None, "", AT - 1, True),
}


@pytest.mark.parametrize(("queue", "started", "told_at", "counts"), WORDS.values(), ids=WORDS)
def test_the_word_of_a_trainer_is_of_this_start_if_it_came(queue, started, told_at, counts):
    """`started` is None while the queue holds the Job back."""
    store, said = Store(), Progress(attempt=3, step=10, updated_at=told_at)
    store.keep_progress(KEY, said)
    spec = a_job(**({"queueName": queue} if queue else {})).model_dump(mode="json", by_alias=True, exclude_none=True)
    body = workload(**({"startTime": started} if started else {})) | {"spec": {"suspend": started is None}}
    assert look(job(spec=spec), body, store=store).progress == (said if counts else None)


HELD = {"spec": {"suspend": True}}
SAID = {
    "about a Job that a queue holds back": (told_of("j"), (workload() | HELD,), True),
    "about a Job that it has let go": (told_of("j"), (workload(),), False),
    "about another Job": (told_of("k"), (workload() | HELD,), False),
}


@pytest.mark.parametrize(("about", "children", "counts"), SAID.values(), ids=SAID)
def test_what_a_queue_says_counts_while_it_holds_the_job_back(about, children, counts):
    store, trouble = Store(), Trouble("Pending", "no room")
    store.keep_trouble(KEY, about, trouble)
    assert look(job(), *children, store=store).trouble == (trouble if counts else None)


def test_the_job_that_it_goes_on_from_is_read_before_it_begins():
    model = {"name": "all-MiniLM-L6-v2", "fromJob": "first"}
    spec = a_job(model=model).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert not look(job(spec=spec)).parent.found
    assert look(job(spec=spec), workload()).parent is None


def of_inspection(body, uid):
    labels = {**LABELS, "finetune.dev/attempt": "0"}
    return body | {"metadata": body["metadata"] | {"labels": labels, "uid": uid, "name": uid}}


def test_what_reads_a_models_numbers_is_held_apart_from_the_attempts():
    read, reader = of_inspection(workload(**COMPLETE), "job-0"), of_inspection(pod(phase="Succeeded"), "pod-0")
    seen = look(job(), workload(), pod(phase="Running"), read, reader)
    assert (seen.inspection.workload.uid, [one.uid for one in seen.inspection.pods]) == ("job-0", ["pod-0"])
    assert ([one.uid for one in seen.workloads], [one.uid for one in seen.pods]) == (["j"], ["p"])


def test_while_a_model_is_read_it_is_known_what_the_first_attempt_will_need():
    seen = look(job(), of_inspection(workload(), "job-0"), cluster=Cluster())
    assert (seen.workload, len(seen.missing)) == (None, 1)


def test_why_the_pod_that_reads_a_model_does_not_start_is_told():
    store, told = Store(), Trouble("FailedMount", "timed out")
    store.keep_trouble(KEY, "pod-0", told)
    seen = look(job(), of_inspection(workload(), "job-0"), of_inspection(pod(phase="Pending"), "pod-0"), store=store)
    assert seen.trouble == told


def test_a_watch_that_lost_a_reading_is_made_up_for():
    store = Store()
    look(job(), of_inspection(workload(), "job-0"), store=store)
    seen = look(job(), cluster=Cluster("samples"), store=store, now=AT + WAITING_RESYNC)
    assert (seen.listed, seen.inspection.workload) == (True, None)


class WithoutDefinition(Cluster):
    """Had a definition of JobSets when the operator started."""

    jobsets = True

    async def list(self, resource, namespace, *, label_selector="", field_selector=""):
        if resource is RESOURCES["JobSet"]:
            raise NotFound(404, "the server could not find the requested resource")
        return await super().list(resource, namespace, label_selector=label_selector, field_selector=field_selector)


def test_jobsets_whose_definition_was_removed_are_none():
    ours = workload()
    ours["metadata"]["ownerReferences"] = [
        {"controller": True, "apiVersion": keys.API_VERSION, "kind": keys.KIND, "name": KEY.name, "uid": KEY.uid}
    ]
    found = asyncio.run(read_all(WithoutDefinition(jobs=[ours]), KEY))
    assert [one["metadata"]["name"] for one in found.workloads] == ["reviews-3"]
