"""Several operators on one real API server: one writes, another takes over, nobody writes after losing the Lease."""

import asyncio
import contextlib
import itertools
import signal
import time

import pytest
from audit import OPERATOR, writes
from control_plane import ControlPlane, poll_until
from finetune_operator.api import keys
from finetune_operator.api.schema import crd
from finetune_operator.cluster.client import EVENTS, Client
from finetune_operator.cluster.errors import NotLeading, Unreachable
from finetune_operator.cluster.lease import LeaseLock
from finetune_operator.runtime import clock
from finetune_operator.runtime.cli import LOST_LEADERSHIP
from finetune_operator.runtime.leader import RENEW_DEADLINE, Clocks, Elector, LeadershipLost
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config
from operator_process import OperatorProcess
from real_jobs import JOBS, NAMESPACE, smallest

TAKEOVER_SECONDS = 20
"""From the death of a leader to the first write of the next; usually 11 s."""

HANDOVER_SECONDS = 6
"""From the orderly end of a leader to the first write of the next; usually 2 s."""

STARTED_SECONDS = 30
QUIET_SECONDS = 2
CLOCKS = Clocks(clock.steady, clock.now, asyncio.sleep)
ELECTION = {"enabled": True, "namespace": NAMESPACE}


@pytest.fixture(scope="module")
def server(programs):
    with ControlPlane(programs) as running:
        running.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd())
        running.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        poll_until(lambda: running.request("GET", JOBS)[0] == 200, within=30, waiting_for="the definition")
        yield running


@pytest.fixture
def operators(server, tmp_path):
    """Start operators by name; all end with the test."""
    with contextlib.ExitStack() as ended:

        def start(name):
            return ended.enter_context(OperatorProcess(server, tmp_path, name=name, leaderElection=ELECTION))

        yield start


def leads(operator):
    return operator.alive and operator.metric("finetune_operator_leader") == 1


def seconds_until_served(server, name):
    """Apply a job and return the seconds until the operator has written its status."""
    began = time.monotonic()
    body = {"apiVersion": keys.API_VERSION, "kind": keys.KIND, "metadata": {"name": name}, "spec": smallest()}
    assert server.request("POST", JOBS, body)[0] == 201
    poll_until(
        lambda: "status" in server.request("GET", f"{JOBS}/{name}")[1],
        within=2 * TAKEOVER_SECONDS,
        waiting_for=f"a status of {name}",
    )
    return time.monotonic() - began


def writes_but_leases(server):
    return [write for write in writes(server.audit_log) if write.resource != "leases"]


def is_quiet(server):
    """Whether nothing was written for a moment: Events come after the status that they tell of."""
    return time.time() - writes_but_leases(server)[-1].received > QUIET_SECONDS


def test_another_operator_takes_over_when_the_leader_is_killed_and_sooner_when_it_ends(server, operators):
    first, second = operators("first"), operators("second")  # both are ready: the one that waits, too
    poll_until(lambda: leads(first) or leads(second), within=STARTED_SECONDS, waiting_for="a leader")
    assert not (leads(first) and leads(second))
    assert seconds_until_served(server, "before") < HANDOVER_SECONDS

    leader, other = (first, second) if leads(first) else (second, first)
    leader.process.kill()
    assert seconds_until_served(server, "after-a-kill") < TAKEOVER_SECONDS
    assert leads(other)

    third = operators("third")
    assert not leads(third)
    assert other.stop() == 0
    assert seconds_until_served(server, "after-an-end") < HANDOVER_SECONDS
    assert leads(third)


def test_a_leader_that_was_frozen_ends_when_it_wakes_and_has_written_nothing(server, operators):
    frozen = operators("frozen")
    poll_until(lambda: leads(frozen), within=STARTED_SECONDS, waiting_for="the only candidate to lead")
    frozen.process.send_signal(signal.SIGSTOP)
    other = operators("other")
    assert seconds_until_served(server, "meanwhile") < TAKEOVER_SECONDS
    poll_until(lambda: is_quiet(server), within=STARTED_SECONDS, waiting_for="the last Event of the one that leads")
    before = len(writes_but_leases(server))
    frozen.process.send_signal(signal.SIGCONT)
    assert frozen.process.wait(STARTED_SECONDS) == LOST_LEADERSHIP
    assert writes_but_leases(server)[before:] == []
    assert leads(other)


class Cut:
    """A way to the Lease that can be cut, while all other ways stay open: the worst partition for a leader."""

    def __init__(self, lock):
        self.lock = lock
        self.cut = False

    async def read(self, seconds):
        return await self._through(self.lock.read(seconds))

    async def write(self, lease, seconds):
        return await self._through(self.lock.write(lease, seconds))

    async def _through(self, asked):
        if self.cut:
            asked.close()
            raise Unreachable(0, "cut off")
        return await asked


def test_a_leader_that_is_cut_off_from_its_lease_writes_nothing_after_its_deadline(server, tmp_path):
    kubeconfig = str(server.kubeconfig(tmp_path / "kubeconfig.json", "operator"))
    began = len(writes(server.audit_log))

    async def story():
        async with contextlib.AsyncExitStack() as closing:
            renewing = await _client(closing, kubeconfig)
            way = Cut(LeaseLock(renewing, NAMESPACE, "cut"))
            old, new = Elector(way, "old", CLOCKS), Elector(way.lock, "new", CLOCKS)
            fenced = await _client(closing, kubeconfig, old.remaining)
            await old.acquire()
            assert not await new.attempt()
            way.cut = True
            cut_at = clock.now()
            writing = asyncio.create_task(watch(fenced))
            taking = asyncio.create_task(new.acquire())
            with pytest.raises(LeadershipLost):
                await old.hold()
            assert await writing > 10, "it wrote as long as it might"
            await taking
            assert new.leading()
            return cut_at

    cut_at = asyncio.run(story())
    log = writes(server.audit_log)[began:]
    taken = max(write.received for write in log if write.resource == "leases")
    last = max(write.answered for write in log if write.resource == "events" and write.user == OPERATOR)
    assert last <= cut_at + RENEW_DEADLINE + 0.5
    assert last < taken
    assert taken - cut_at < TAKEOVER_SECONDS


async def _client(closing, kubeconfig, *fence):
    configuration = Configuration()
    await load_kube_config(kubeconfig, client_configuration=configuration)
    client = Client(ApiClient(configuration), lambda *_: None, *fence)
    closing.push_async_callback(client.close)
    return client


async def watch(client):
    """Watch the fence by writing every 50 ms until it closes; return how often."""
    for number in itertools.count(1):
        event = {
            "metadata": {"name": f"written-{number}", "namespace": NAMESPACE},
            "involvedObject": {"namespace": NAMESPACE},
        }
        try:
            await client.create(EVENTS, NAMESPACE, event)
        except (NotLeading, Unreachable):  # not sent, or broken off by the fence
            return number
        await asyncio.sleep(0.05)
    return 0
