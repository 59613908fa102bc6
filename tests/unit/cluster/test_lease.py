"""The Lease as the API server keeps it. Its transitions are in `runtime/test_leader.py`."""

import asyncio
import dataclasses

from finetune_operator.cluster.errors import NotFound
from finetune_operator.cluster.lease import NOBODYS, Lease, LeaseLock

LEASE = Lease(holder="one", seconds=10, acquired=1_800_000_000.25, renewed=1_800_000_002.5, transitions=3, version="7")


class Client:
    """Keeps one object, and what it was asked."""

    def __init__(self, body=None):
        self.body = body
        self.asked = []

    async def get(self, resource, namespace, name, *, seconds):
        self.asked.append(("get", seconds))
        if self.body is None:
            raise NotFound(404, "not found")
        return self.body

    async def create(self, resource, namespace, body, *, seconds):
        return self._kept("create", body, seconds)

    async def replace(self, resource, namespace, body, *, seconds):
        return self._kept("replace", body, seconds)

    def _kept(self, verb, body, seconds):
        self.asked.append((verb, seconds))
        self.body = {**body, "metadata": {**body["metadata"], "resourceVersion": "8"}}
        return self.body


def written(lease):
    client = Client()
    answer = asyncio.run(LeaseLock(client, "system", "finetune-operator").write(lease, 2.0))
    return client, answer


def test_what_is_written_is_read_back():
    client, answer = written(LEASE)
    assert answer == dataclasses.replace(LEASE, version="8")
    assert asyncio.run(LeaseLock(client, "system", "finetune-operator").read(2.0)) == answer


def test_a_lease_is_written_over_the_version_it_was_read_at():
    client, _ = written(LEASE)
    assert client.asked == [("replace", 2.0)]
    assert client.body["metadata"]["name"] == "finetune-operator"


def test_the_first_lease_is_created():
    client, _ = written(dataclasses.replace(LEASE, version=""))
    assert client.asked == [("create", 2.0)]


def test_moments_have_the_microseconds_that_the_api_server_wants():
    client, _ = written(LEASE)
    assert client.body["spec"]["renewTime"] == "2027-01-15T08:00:02.500000Z"


def test_where_there_is_none_it_is_nobodys():
    assert asyncio.run(LeaseLock(Client(), "system", "finetune-operator").read(2.0)) == NOBODYS


def test_a_lease_that_says_nothing_is_nobodys_but_has_its_version():
    empty = Client({"metadata": {"resourceVersion": "5"}})
    assert asyncio.run(LeaseLock(empty, "system", "x").read(2.0)) == dataclasses.replace(NOBODYS, version="5")
