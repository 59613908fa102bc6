"""Which trainers are asked how far they are, and which jobs are gone, or new at the start."""

import asyncio

from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.errors import Rejected, Unreachable
from finetune_operator.cluster.store import Store
from finetune_operator.planning.profiles import Profiles
from finetune_operator.runtime import polling
from finetune_operator.runtime.handlers import farewell
from finetune_operator.runtime.loop import Reconciler
from finetune_operator.runtime.polling import open_once, poll_once, resync, resync_once
from finetune_operator.runtime.queue import WorkQueue
from finetune_operator.telemetry.process import Telemetry
from finetune_trainer.contract import Progress

KEY = JobKey("team", "reviews", "uid-1")
MOMENT = "2026-01-01T00:00:00Z"


class Trainers:
    """Answers for every pod, and remembers which it was."""

    def __init__(self):
        self.asked = []

    async def progress(self, _namespace, pod, _address):
        self.asked.append(pod)
        return Progress(step=3)


def store_with(attempt, *, name="reviews", **status):
    store = Store()
    add_to(store, name, attempt, **status)
    return store


def add_to(store, name, attempt, **status):
    metadata = {"namespace": "team", "creationTimestamp": MOMENT}
    store.keep_job({"metadata": {**metadata, "name": name, "uid": "uid-1"}})
    labels = {"finetune.dev/job-name": name, "finetune.dev/job-uid": "uid-1", "finetune.dev/attempt": attempt}
    pod = {**metadata, "name": f"{name}-{attempt}", "uid": "p", "labels": labels}
    store.keep_pod({"metadata": pod, "status": {"phase": "Running", "podIP": "10.0.0.7", **status}})


def asked(store, trainers=None):
    async def ask():
        asks, queue = trainers or Trainers(), WorkQueue()
        count = await poll_once(store, queue, asks)
        return count, asks.asked, queue.waiting

    return asyncio.run(ask())


def test_a_running_trainer_is_asked_and_its_job_looked_at():
    store = store_with("1")
    assert asked(store) == (1, ["reviews-1"], 1)
    assert store.progress(KEY).step == 3
    assert asked(store) == (1, ["reviews-1"], 0)  # nothing new


class Broken(Trainers):
    """Raises for one pod what nobody has thought of."""

    async def progress(self, namespace, pod, address):
        if pod == "bad-1":
            raise OverflowError("int too large to convert to float")
        return await super().progress(namespace, pod, address)


def test_an_answer_that_nobody_has_thought_of_stops_no_other_question(caplog):
    store = store_with("1", name="bad")
    add_to(store, "good", "1")
    assert asked(store, Broken()) == (2, ["good-1"], 1)
    ((job, error),) = [(record.fields["job"], record.fields["error"]) for record in caplog.records]
    assert job == "team/bad"
    assert "OverflowError" in error


def test_a_pod_that_waits_is_not_asked():
    assert asked(store_with("1", phase="Pending")) == (0, [], 0)
    assert asked(store_with("1", podIP="")) == (0, [], 0)


def test_what_reads_a_models_numbers_is_not_asked():
    assert asked(store_with("0")) == (0, [], 0)


def test_a_job_without_a_pod_is_not_asked():
    store = Store()
    store.keep_job({"metadata": {"namespace": "team", "name": "reviews", "uid": "uid-1"}})
    assert asked(store) == (0, [], 0)


class Server:
    """Has these jobs, or does not answer."""

    def __init__(self, *uids, error=None):
        self.found, self.error, self.asked = frozenset(uids), error, []

    async def uids(self, resource, namespace):
        self.asked.append((resource.plural, namespace))
        if self.error:
            raise self.error
        return self.found


def jobs(*places):
    store = Store()
    for namespace, uid in places:
        store.keep_job({"metadata": {"namespace": namespace, "name": "reviews", "uid": uid}})
    return store


def left(store, server, namespace=""):
    async def look():
        queue = WorkQueue()
        await resync_once(server, store, farewell(store, queue, Telemetry("test")), namespace)
        return sorted(key.uid for key, _body in store.jobs()), queue.waiting

    return asyncio.run(look())


def test_a_job_whose_end_no_watch_told_is_forgotten_and_passed_over_once_more():
    server = Server("2", "3")
    assert left(jobs(("team", "1"), ("team", "2")), server) == (["2"], 1)
    assert server.asked == [("finetunejobs", "")]


def test_a_job_whose_end_no_watch_told_is_seen_off_as_others_are():
    told, store = [], jobs(("team", "1"))
    asyncio.run(resync_once(Server(), store, told.append, ""))
    assert [body["metadata"]["uid"] for body in told] == ["1"]


def test_only_jobs_of_the_namespace_that_was_asked_about_can_be_missed_there():
    assert left(jobs(("team", "1"), ("other", "2")), Server(), "team") == (["2"], 1)


def test_a_job_that_came_while_the_answer_was_under_way_is_kept():
    store = jobs(("team", "1"))

    class Slow(Server):
        async def uids(self, resource, namespace):
            store.keep_job({"metadata": {"namespace": "team", "name": "newer", "uid": "9"}})
            return frozenset({"1"})

    assert left(store, Slow()) == (["1", "9"], 0)


def test_an_api_server_that_does_not_answer_is_not_taken_for_an_empty_one():
    assert left(jobs(("team", "1")), Server(error=Unreachable(0, "gone"))) == (["1"], 0)


def test_jobs_are_looked_for_in_rounds_once_this_operator_leads(monkeypatch):
    monkeypatch.setattr(polling, "RESYNC_SECONDS", 0)
    server = Server("1")

    async def play():
        begin, done = asyncio.Event(), asyncio.Event()

        class Counting(Server):
            async def uids(self, resource, namespace):
                if len(server.asked) >= 3:
                    done.set()
                    await asyncio.Event().wait()
                return await server.uids(resource, namespace)

        rounds = asyncio.create_task(resync(begin, Counting(), jobs(("a", "1")), lambda body: None, where=("a", "b")))
        await asyncio.sleep(0)
        assert server.asked == []
        begin.set()
        await done.wait()
        rounds.cancel()

    asyncio.run(play())
    assert [namespace for _kind, namespace in server.asked] == ["a", "b", "a"]


OLD, NEW = JobKey("team", "old", "uid-of-old"), JobKey("team", "new", "uid-of-new")


class NewJobs:
    """Tells the new jobs of each namespace, or refuses to."""

    def __init__(self, **new):
        self.new, self.asked = new, []

    async def list(self, resource, namespace, *, field_selector):
        self.asked.append((resource.plural, namespace, field_selector))
        found = self.new.get(namespace or "all")
        if found is None:
            raise Rejected(400, "field label not supported: status.phase")
        return [{"metadata": {"namespace": one.namespace, "name": one.name, "uid": one.uid}} for one in found]


def opened(server, *where):
    """Return the jobs handed out before the watches have told of all, and after."""

    async def story():
        store, queue, told = Store(), WorkQueue(), asyncio.Event()
        queue.hold_back()
        queue.add(OLD)
        tools = Reconciler(server, store, queue, Profiles(), Telemetry("test"))
        opening = asyncio.create_task(open_once(tools, told.wait, where=where))
        await asyncio.sleep(0)
        before = [await queue.take() for _ in range(queue.waiting)]
        assert all(store.job(key) for key in before)
        told.set()
        await opening
        return before, [await queue.take() for _ in range(queue.waiting)]

    return asyncio.run(story())


def test_new_jobs_go_before_all_is_listed_and_the_others_after():
    server = NewJobs(all=[NEW])
    assert opened(server) == ([NEW], [OLD])
    assert server.asked == [("finetunejobs", "", "status.phase=")]


def test_each_watched_namespace_is_asked():
    server = NewJobs(team=[NEW], other=[])
    assert opened(server, "other", "team") == ([NEW], [OLD])
    assert [one[1] for one in server.asked] == ["other", "team"]


def test_an_api_server_that_cannot_select_new_jobs_leaves_them_to_the_watches():
    assert opened(NewJobs()) == ([], [OLD])
