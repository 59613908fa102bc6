"""What the client sends, and what it refuses to send."""

import asyncio
import contextlib
import json

import pytest
from aiohttp import web
from finetune_operator.cluster.client import EVENTS, JOBS, OTHER_CONNECTIONS, RESOURCES, Client, connect
from finetune_operator.cluster.errors import Conflict, NotFound, NotLeading, Overloaded, Rejected, Unreachable
from kubernetes.aio import client as kubernetes_client

JOB = RESOURCES["Job"]


@contextlib.asynccontextmanager
async def serving(answer):
    """Yield the address of a server where all gets the one answer."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def told(story, *, fence=None, status=200, headers=None, **fields):
    """Run a story against a server that answers all alike; return what it was asked."""
    asked = []

    async def answer(request):
        asked.append((request.method, request.path_qs, request.content_type, await request.text()))
        body = {"items": [{"a": 1}], "metadata": {}, "message": "in its own words", **fields}
        return web.json_response(body, status=status, headers=headers)

    async def play():
        async with serving(answer) as address:
            api = kubernetes_client.ApiClient(kubernetes_client.Configuration(host=address))
            client = Client(api, lambda *_: None, *([fence] if fence else []))
            try:
                await story(client)
            finally:
                await client.close()

    asyncio.run(play())
    return asked


def test_no_worker_waits_for_another_ones_connection(tmp_path, monkeypatch):
    workers = OTHER_CONNECTIONS + 50
    place = tmp_path / "kubeconfig.json"
    monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(place))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    async def play():
        all_there = asyncio.Barrier(workers)

        async def answer(_request):
            await all_there.wait()
            return web.json_response({})

        async with serving(answer) as address:
            place.write_text(json.dumps(_kubeconfig(address)))
            client, inside = await connect(lambda *_: None, workers=workers)
            assert not inside
            try:
                return await asyncio.gather(*(client.get(JOB, "team", f"reviews-{i}") for i in range(workers)))
            finally:
                await client.close()

    assert asyncio.run(play()) == [{}] * workers


def _kubeconfig(address):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": address}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "current-context": "here",
    }


def test_a_delete_names_the_life_of_the_object_it_means():
    async def story(client):
        await client.delete(JOB, "team", "reviews-1", uid="123", propagation="Foreground")

    ((method, path, _kind, body),) = told(story)
    assert (method, path) == ("DELETE", "/apis/batch/v1/namespaces/team/jobs/reviews-1")
    assert json.loads(body) == {"preconditions": {"uid": "123"}, "propagationPolicy": "Foreground"}


def test_a_list_selects_on_the_server():
    async def story(client):
        found = await client.list(JOB, "team", label_selector="a=b", field_selector="metadata.name=c")
        assert found == [{"a": 1}]

    ((method, path, _kind, _body),) = told(story)
    assert method == "GET"
    assert path == "/apis/batch/v1/namespaces/team/jobs?labelSelector=a%3Db&fieldSelector=metadata.name%3Dc"


def test_what_there_is_is_read_in_pages_without_what_it_holds():
    asked = []
    pages = [
        {"items": [{"metadata": {"uid": "1"}}, {"metadata": {"uid": "2"}}], "metadata": {"continue": "next"}},
        {"items": [{"metadata": {"uid": "3"}}], "metadata": {}},
    ]

    class Pages(Client):
        async def _text(self, request):
            asked.append((request.path, dict(request.query)))
            assert "PartialObjectMetadataList" in request.accept
            return json.dumps(pages[len(asked) - 1])

    assert asyncio.run(Pages(None, lambda *_: None).uids(JOBS, "")) == {"1", "2", "3"}
    path = "/apis/finetune.dev/v1alpha1/finetunejobs"
    assert asked == [(path, {"limit": "500"}), (path, {"limit": "500", "continue": "next"})]


def test_a_look_at_one_namespace_asks_for_that():
    async def story(client):
        await client.uids(JOBS, "team")

    items = [{"metadata": {"uid": "1"}}]
    ((method, path, _kind, _body),) = told(story, items=items)
    assert (method, path) == ("GET", "/apis/finetune.dev/v1alpha1/namespaces/team/finetunejobs?limit=500")


def test_a_status_is_applied_by_our_manager():
    async def story(client):
        await client.apply_status(JOBS, {"metadata": {"namespace": "team", "name": "reviews", "uid": "1"}})

    ((method, path, kind, _body),) = told(story)
    assert (method, kind) == ("PATCH", "application/apply-patch+yaml")
    assert path.endswith("/finetunejobs/reviews/status?fieldManager=finetune-operator&force=true")


def test_what_many_ask_for_at_once_is_read_once():
    async def story(client):
        first, second = await asyncio.gather(*(client.get_shared(JOB, "team", "a") for _ in range(2)))
        assert first is second
        assert await client.get_shared(JOB, "team", "b") is not first
        assert await client.get_shared(JOB, "team", "a") is not first

    assert [path.rsplit("/", 1)[1] for _method, path, *_ in told(story)] == ["a", "b", "a"]


def test_all_that_share_a_read_learn_that_it_failed():
    async def story(client):
        reads = (client.get_shared(JOB, "team", "a") for _ in range(2))
        assert [type(one) for one in await asyncio.gather(*reads, return_exceptions=True)] == [NotFound, NotFound]

    assert len(told(story, status=404)) == 1


def test_who_gives_up_a_shared_read_leaves_it_to_the_others():
    async def story(client):
        first, second = (asyncio.ensure_future(client.get_shared(JOB, "team", "a")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second)["message"] == "in its own words"
        assert first.cancelled()

    assert len(told(story)) == 1


WRITES = {
    "create": lambda client: client.create(EVENTS, "team", {}),
    "replace": lambda client: client.replace(JOB, "team", {"metadata": {"name": "a"}}),
    "delete": lambda client: client.delete(JOB, "team", "a", uid="1"),
    "a status": lambda client: client.apply_status(JOBS, {"metadata": {"namespace": "team", "name": "a"}}),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_who_does_not_lead_writes_nothing(write):
    async def story(client):
        with pytest.raises(NotLeading):
            await write(client)

    assert told(story, fence=lambda: 0.0) == []


def test_who_does_not_lead_may_read():
    async def story(client):
        await client.get(JOB, "team", "a")
        await client.list(JOB, "team")

    assert len(told(story, fence=lambda: 0.0)) == 2


def test_a_write_lasts_no_longer_than_the_leadership():
    async def story(client):
        with pytest.raises(Unreachable, match="Timeout"):
            await client.create(EVENTS, "team", {})

    told(story, fence=lambda: 1e-9)


KINDS = {"there": ([{"name": "jobsets"}], True), "of a version without it": ([{"name": "others"}], False)}


@pytest.mark.parametrize(("resources", "want"), KINDS.values(), ids=KINDS)
def test_a_kind_is_served_where_its_group_lists_it(resources, want):
    async def story(client):
        assert await client.serves(RESOURCES["JobSet"]) is want

    ((_method, path, _kind, _body),) = told(story, resources=resources)
    assert path == "/apis/jobset.x-k8s.io/v1alpha2"


def test_a_kind_whose_group_nobody_knows_is_not_served():
    async def story(client):
        assert not await client.serves(RESOURCES["JobSet"])

    told(story, status=404)


ANSWERS = {404: NotFound, 409: Conflict, 429: Overloaded, 500: Overloaded, 403: Rejected, 422: Rejected}


@pytest.mark.parametrize(("status", "want"), ANSWERS.items())
def test_an_answer_that_is_none_is_an_error_with_the_servers_words(status, want):
    async def story(client):
        with pytest.raises(want, match="in its own words"):
            await client.get(JOB, "team", "a")

    told(story, status=status)


@pytest.mark.parametrize(("header", "want"), [("7", 7.0), ("soon", 0.0), (None, 0.0)])
def test_the_patience_that_a_server_asks_for_is_kept(header, want):
    async def story(client):
        with pytest.raises(Overloaded) as error:
            await client.get(JOB, "team", "a")
        assert error.value.patience == want

    told(story, status=429, headers={"Retry-After": header} if header else {})
