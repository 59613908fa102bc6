"""Why a job has no place in its queue, as Kueue tells."""

import asyncio

import pytest
from finetune_operator.api import timestamps
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.errors import NotFound
from finetune_operator.cluster.queues import AT_ONCE, Queues, told_of, why
from finetune_operator.cluster.store import Store
from finetune_operator.reconcile.snapshot import Trouble

MOMENT = "2026-01-01T00:00:00Z"
AT = timestamps.parse(MOMENT)
FULL = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": "no room for cpu"}
TAKEN = {"type": "Evicted", "status": "True", "reason": "Preempted", "message": "somebody was more important"}
GIVEN = FULL | {"status": "True", "message": "a place"}


class Cluster:
    """Holds the Workload of each Job by that one's uid; None where there is no Kueue."""

    def __init__(self, workloads):
        self.workloads, self.asked = workloads, []

    async def list(self, resource, namespace, *, label_selector):
        name, uid = label_selector.split("=")
        assert (resource.plural, name) == ("workloads", "kueue.x-k8s.io/job-uid")
        self.asked.append((namespace, uid))
        if self.workloads is None:
            raise NotFound(404, "no such kind")
        return [{"status": {"conditions": self.workloads[uid]}}] if uid in self.workloads else []


def key(name="one"):
    return JobKey("team", name, f"uid-of-{name}")


def a_store(*names, queue="rank-and-file", **spec):
    store = Store()
    for name in names or ("one",):
        labels = {"finetune.dev/job-name": name, "finetune.dev/job-uid": f"uid-of-{name}", "finetune.dev/attempt": "1"}
        metadata = {"namespace": "team", "creationTimestamp": MOMENT, "resourceVersion": "1"}
        store.keep_job({"metadata": {**metadata, "name": name, "uid": f"uid-of-{name}"}})
        own = {
            "name": f"{name}-1",
            "uid": name,
            "labels": labels | ({"kueue.x-k8s.io/queue-name": queue} if queue else {}),
        }
        store.keep_workload({"metadata": {**metadata, **own}, "spec": {"suspend": True} | spec, "status": {}})
    return store


def asked(cluster, store, *seconds):
    """Ask at these seconds after the Jobs were made; return the jobs with news of each round."""
    queues = Queues()

    async def rounds():
        return [await queues.ask(cluster, store, AT + second) for second in seconds]

    return asyncio.run(rounds())


def test_what_kueue_says_is_kept_and_told_once():
    cluster, store = Cluster({"one": [FULL]}), a_store()
    assert asked(cluster, store, 3, 10) == [[key()], []]
    assert store.trouble(key()) == (told_of("one"), Trouble("Pending", "no room for cpu"))


def test_nobody_is_asked_about_what_no_queue_holds_back():
    for store in (a_store(suspend=False), a_store(queue=None)):
        cluster = Cluster({"one": [FULL]})
        assert asked(cluster, store, 100) == [[]]
        assert cluster.asked == []


def test_the_longer_a_job_waits_the_less_often_is_asked():
    cluster, store = Cluster({"one": [FULL]}), a_store()
    moments = []
    queues = Queues()
    for second in range(3600):
        before = len(cluster.asked)
        asyncio.run(queues.ask(cluster, store, AT + second))
        moments += [second] if len(cluster.asked) > before else []
    assert moments[:3] == [2, 7, 12]
    assert len(moments) < 40
    assert moments[-1] - moments[-2] > 400


def test_a_round_asks_about_few_and_the_others_come_next():
    names = [f"job-{number:02}" for number in range(AT_ONCE + 5)]
    cluster = Cluster({name: [FULL] for name in names})
    first, second = asked(cluster, a_store(*names), 3, 4)
    assert len(first) == AT_ONCE
    assert {one.name for one in (*first, *second)} == set(names)


def test_a_cluster_without_kueue_is_asked_once_in_a_round_and_nothing_is_told():
    cluster, store = Cluster(None), a_store("one", "two")
    assert asked(cluster, store, 3) == [[]]
    assert len(cluster.asked) == 1
    assert store.trouble(key()) is None


def test_a_job_that_was_taken_back_is_asked_about_soon_again():
    cluster, store = Cluster({"one": [FULL]}), a_store()
    queues = Queues()
    asyncio.run(queues.ask(cluster, store, AT + 1000))
    body = dict(store.workload(key()))
    held = {"type": "Suspended", "status": "True", "lastTransitionTime": timestamps.write(AT + 1010)}
    store.keep_workload(
        {**body, "metadata": {**body["metadata"], "resourceVersion": "2"}, "status": {"conditions": [held]}}
    )
    asyncio.run(queues.ask(cluster, store, AT + 1013))
    assert len(cluster.asked) == 2


ANSWERS = {
    "it has no room": ([FULL], Trouble("Pending", "no room for cpu")),
    "it took the place back": ([FULL, TAKEN], Trouble("Preempted", "somebody was more important")),
    "it took a place back once and waits since": (
        [FULL, TAKEN | {"status": "False"}],
        Trouble("Pending", "no room for cpu"),
    ),
    "it gives a place": ([GIVEN], None),
    "it has not looked yet": ([], None),
}


@pytest.mark.parametrize(("conditions", "want"), ANSWERS.values(), ids=ANSWERS)
def test_the_reason_is_the_newest_one_when(conditions, want):
    assert why({"status": {"conditions": conditions}}) == want


def test_what_is_no_longer_so_is_forgotten():
    cluster, store = Cluster({"one": [FULL]}), a_store()
    queues = Queues()
    asyncio.run(queues.ask(cluster, store, AT + 3))
    cluster.workloads["one"] = [GIVEN]
    assert asyncio.run(queues.ask(cluster, store, AT + 30)) == [key()]
    assert store.trouble(key()) is None
    store.forget_job(key())
    asyncio.run(queues.ask(cluster, store, AT + 60))
    assert queues.asked == {}
