"""The real operator on a modelled cluster: its own store, queue, doors, client and loop, moved one request at a time.

A pass stops before each request and again when a write has been done but not yet answered. There it can be left,
killed, or told of an error; meanwhile anything else may happen. Nothing of it is replaced but the network and time.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import json
import typing
from asyncio import events as event_loops
from collections.abc import Callable, Coroutine, Generator, Iterator

from cluster import kinds
from cluster.api_server import APPLY, MERGE, ApiServer
from cluster.nodes import Nodes
from cluster.streams import Stream
from finetune_operator.api import keys
from finetune_operator.cluster import client as real_client
from finetune_operator.cluster.store import Store
from finetune_operator.planning.profiles import Profiles
from finetune_operator.runtime import handlers
from finetune_operator.runtime.loop import Reconciler, work
from finetune_operator.runtime.polling import open_once, poll_once
from finetune_operator.runtime.queue import WorkQueue
from finetune_operator.telemetry.process import Telemetry

IDLE, LISTED = "idle", "waits for the lists"
UNEXPECTED = "the operator did not expect"
LONGEST_PASS = 500
"""Requests of one pass at most; more is a loop without end."""


class Turn:
    """A place where a pass stops; the driver sees `where`."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __await__(self) -> Generator[str, None, None]:
        yield self.where


class Timers:
    """As much of an event loop as the queue asks for: a clock and timers, moved by the driver."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.time = now
        self._due: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()

    def call_later(self, seconds: float, callback: Callable[..., None], *arguments: object) -> Timer:
        timer = Timer(self.time() + seconds, lambda: callback(*arguments))
        heapq.heappush(self._due, (timer.when(), next(self._numbers), timer))
        return timer

    def next(self) -> float | None:
        while self._due and self._due[0][2].cancelled():
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def run_due(self) -> None:
        while (when := self.next()) is not None and when <= self.time():
            heapq.heappop(self._due)[2].call()


class Timer:
    """A call that is due at a time."""

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self._when, self.call, self._cancelled = when, call, False

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self._cancelled = True

    def cancelled(self) -> bool:
        return self._cancelled


class Queue(WorkQueue):
    """The real queue; the driver decides when a worker takes from it."""

    async def take(self) -> typing.Any:
        await Turn(IDLE)
        return await super().take()

    async def give_way(self) -> None:
        """Whose turn it is, the driver says."""


class ModelClient(real_client.Client):
    """The real client; its requests go to the model."""

    def __init__(self, api: ApiServer, who: str) -> None:
        super().__init__(typing.cast("typing.Any", None), lambda *_: None)
        self._model, self._who = api, who

    async def get_shared(self, *what: typing.Any) -> typing.Any:
        """Read it for each that asks: the model has no event loop that could carry a request on for several."""
        return await self.get(*what)

    async def _send(self, request: real_client.Request, *_: object) -> typing.Any:
        reads = request.verb in real_client.READS
        await Turn(f"{request.verb} {request.path}")
        code, answer = self._model.request(
            real_client.METHODS[request.verb],
            request.path,
            json.loads(json.dumps(request.body)) if request.body is not None else None,
            who=self._who,
            patch=APPLY if request.verb == "apply" else MERGE,
            **dict(request.query),
        )
        if not reads:
            await Turn(f"{request.verb} {request.path}: answer")
        return code, json.dumps(answer), 0.0


class Strict(Telemetry):
    """The real telemetry; an error that the loop did not expect ends the test."""

    def unhandled(self, error: BaseException) -> None:
        raise AssertionError(f"{UNEXPECTED} {error!r}") from error


class ModelTrainers:
    """Asks the model's pods how far they are."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def any(self) -> bool:
        return bool(self._nodes.trainers)

    async def progress(self, namespace: str, pod: str, ip: str) -> typing.Any:
        return self._nodes.progress(namespace, pod)


TELEMETRY = Strict("model")


class Operator:
    """One process, from its start to its end."""

    def __init__(self, nodes: Nodes, name: str, profiles: Profiles) -> None:
        api = nodes.api
        self.name = name
        self.timers = Timers(lambda: api.clock.now)
        self.store, self.queue = Store(), Queue()
        self.tools = Reconciler(ModelClient(api, name), self.store, self.queue, profiles, TELEMETRY)
        self.trainers = ModelTrainers(nodes)
        registry = handlers.registry(self.store, self.queue, TELEMETRY)
        self._doors = {handler.fn.__name__: handler.fn for handler in registry._watching._handlers}
        self.streams = {
            "on_job": Stream(api, kinds.FINE_TUNE_JOB),
            "on_workload": Stream(api, kinds.JOB, keys.LABEL_JOB_UID),
            "on_pod": Stream(api, kinds.POD, keys.LABEL_JOB_UID),
        }
        self.queue.hold_back()
        self._opening = open_once(self.tools, self._listed, where=())
        begin = asyncio.Event()
        begin.set()
        self._workers = [work(begin, self.tools) for _ in range(2)]
        self.places = [self._resume(worker) for worker in self._workers]

    async def _listed(self) -> None:
        await Turn(LISTED)

    def opens(self) -> None:
        """Find the jobs that are new: their passes may begin."""
        while self._resume(self._opening) != LISTED:
            pass

    def listed(self) -> None:
        """Know that the watches have told of all that is there: passes over all jobs may begin."""
        with self._running(), contextlib.suppress(StopIteration):
            self._opening.send(None)

    # Watches.

    def list(self, door: str, behind: int = 0) -> None:
        """Begin a watch, or begin it again."""
        for event in self.streams[door].list(behind):
            self._tell(door, event)

    def deliver(self, door: str, uid: str, *, newest: bool = True) -> None:
        self._tell(door, self.streams[door].next(uid, newest=newest))

    def deliver_all(self) -> bool:
        """Tell all news; return whether there was any."""
        told = False
        for door, stream in self.streams.items():
            for uid in stream.waiting():
                self.deliver(door, uid)
                told = True
        return told

    def repeat(self, door: str) -> None:
        for event in self.streams[door].again():
            self._tell(door, event)

    def _tell(self, door: str, event: typing.Any) -> None:
        self._run(self._doors[door](event=event))

    # Passes.

    @property
    def busy(self) -> bool:
        """Whether a pass is under way or waited for."""
        return self.queue.waiting > 0 or any(place != IDLE for place in self.places)

    def step(self, which: int = 0) -> str | None:
        """Let a worker go on to its next stop; return where it is, None where it has nothing to do."""
        if self.places[which] == IDLE and not self.queue.waiting:
            return None
        self.places[which] = self._resume(self._workers[which])
        return self.places[which]

    def trouble(self, which: int, error: Exception) -> bool:
        """Let the request that a worker waits for fail; False where it waits for none."""
        if self.places[which] == IDLE:
            return False
        with self._running():
            self.places[which] = self._workers[which].throw(error)
        return True

    def finish(self) -> None:
        """Go on until there is nothing to do."""
        for _ in range(LONGEST_PASS):
            moved = [self.step(which) for which in range(len(self._workers))]  # in turns: their requests interleave
            if not any(moved):
                return
        raise AssertionError(f"{self.name} does not come to rest: {self.places}")

    def poll(self) -> None:
        """Ask all running trainers."""
        if self.trainers.any():
            asyncio.run(poll_once(self.store, self.queue, typing.cast("typing.Any", self.trainers)))

    def crash(self) -> None:
        """End here and now; what was not sent is lost, what was sent is done."""
        for part in (*self._workers, self._opening):
            with self._running():
                part.close()

    def _resume(self, worker: Coroutine[typing.Any, typing.Any, None]) -> str:
        with self._running():
            return typing.cast("str", worker.send(None))

    def _run(self, door: Coroutine[typing.Any, typing.Any, None]) -> None:
        with self._running(), contextlib.suppress(StopIteration):
            door.send(None)

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        event_loops._set_running_loop(typing.cast("typing.Any", self.timers))
        try:
            yield
        finally:
            event_loops._set_running_loop(None)
