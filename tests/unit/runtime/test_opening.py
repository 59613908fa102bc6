"""What an operator does before its watches have told of all that is there."""

import asyncio

from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.errors import Rejected
from finetune_operator.cluster.store import Store
from finetune_operator.planning.profiles import Profiles
from finetune_operator.runtime.loop import Reconciler
from finetune_operator.runtime.polling import open_once
from finetune_operator.runtime.queue import WorkQueue
from finetune_operator.telemetry.process import Telemetry

OLD, NEW = JobKey("team", "old", "uid-of-old"), JobKey("team", "new", "uid-of-new")


class Server:
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
    server = Server(all=[NEW])
    assert opened(server) == ([NEW], [OLD])
    assert server.asked == [("finetunejobs", "", "status.phase=")]


def test_each_watched_namespace_is_asked():
    server = Server(team=[NEW], other=[])
    assert opened(server, "other", "team") == ([NEW], [OLD])
    assert [one[1] for one in server.asked] == ["other", "team"]


def test_an_api_server_that_cannot_select_new_jobs_leaves_them_to_the_watches():
    assert opened(Server()) == ([], [OLD])
