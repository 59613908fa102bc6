"""Asks what no watch tells: trainers how far they are, Events why pods do not start, Kueue why it gives no place.

And which jobs are gone: a watch that begins again lists what is there, and never tells what vanished meanwhile. And at
the start which jobs are new, before the watches have told of thousands of old ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from finetune_operator.api.identity import JobKey
from finetune_operator.cluster import warnings
from finetune_operator.cluster.client import JOBS, Client
from finetune_operator.cluster.errors import ApiError
from finetune_operator.cluster.queues import Queues
from finetune_operator.cluster.store import Body, Store, attempt_of
from finetune_operator.cluster.trainers import Trainers
from finetune_operator.manifests.names import INSPECTION
from finetune_operator.runtime import clock
from finetune_operator.runtime.handlers import slim
from finetune_operator.runtime.loop import Reconciler
from finetune_operator.runtime.queue import WorkQueue
from finetune_operator.telemetry.logs import keys

SHORTEST_ROUND = 3.0
"""Seconds from one round of questions to the next."""

ROUNDS_PER_SECOND = 20
"""Trainers asked per second at most: with more of them the rounds get longer, and status writes stay bounded."""

AT_ONCE = 20
"""Trainers asked at the same time."""

SHORTEST_WAIT_FOR_WARNINGS = 4.0
"""Seconds from one look at Events to the next."""

RESYNC_SECONDS = 600.0
"""Seconds from one look at which jobs are there to the next: until then, one whose end was missed is still counted."""

BUSY_WITH_WARNINGS = 0.05
"""Part of the time that looking at Events may take; where they are many, they are looked at less often."""

NEW = "status.phase="
"""Selects the jobs that nothing was done for yet: they have no phase."""

log = logging.getLogger(__name__)


async def poll(begin: asyncio.Event, store: Store, queue: WorkQueue, trainers: Trainers) -> None:
    """Ask in rounds, for ever, once this operator may begin."""
    await begin.wait()
    while True:
        asked = await poll_once(store, queue, trainers)
        await asyncio.sleep(max(SHORTEST_ROUND, asked / ROUNDS_PER_SECOND))


async def poll_once(store: Store, queue: WorkQueue, trainers: Trainers) -> int:
    """Ask every running trainer once; return how many were asked.

    A pod is its user's: whatever comes of one answer, the others are heard, and the operator goes on.
    """
    gate = asyncio.Semaphore(AT_ONCE)
    running = [key for key, _runs in store.each(_running)]

    async def ask(key: JobKey) -> None:
        pod = store.pod(key)
        if pod is None:
            return
        async with gate:
            said = await trainers.progress(key.namespace, pod["metadata"]["name"], pod["status"].get("podIP", ""))
        if said is not None and said != store.progress(key):
            store.keep_progress(key, said)
            queue.add(key)

    told = await asyncio.gather(*(ask(key) for key in running), return_exceptions=True)
    for key, error in zip(running, told, strict=True):
        if error is not None:
            log.error("trainer not understood", extra=keys(job=str(key), uid=key.uid, error=repr(error)))
    return len(running)


async def listen(begin: asyncio.Event, client: Client, store: Store, queue: WorkQueue) -> None:
    """Look in rounds why pods do not start and queues give no place, and enqueue the jobs of which that is new."""
    await begin.wait()
    loop, queues = asyncio.get_running_loop(), Queues()
    while True:
        began = loop.time()
        for key in [*await warnings.ask(client, store, clock.now()), *await queues.ask(client, store, clock.now())]:
            queue.add(key)
        await asyncio.sleep(max(SHORTEST_WAIT_FOR_WARNINGS, (loop.time() - began) / BUSY_WITH_WARNINGS))


SeeOff = Callable[[Body], None]
"""What is done about a job that is gone."""


async def resync(begin: asyncio.Event, client: Client, store: Store, see_off: SeeOff, *, where: Sequence[str]) -> None:
    """Look in rounds which jobs are gone, for ever; in the whole cluster, unless namespaces are named."""
    await begin.wait()
    while True:
        await asyncio.sleep(RESYNC_SECONDS)
        for namespace in where or [""]:
            await resync_once(client, store, see_off, namespace)


async def resync_once(client: Client, store: Store, see_off: SeeOff, namespace: str) -> None:
    """See off the jobs that the store holds and the API server does not; without an answer, none."""
    known = [(key, body) for key, body in store.jobs() if namespace in {"", key.namespace}]
    try:
        there = await client.uids(JOBS, namespace)
    except ApiError:
        return
    for key, body in known:
        if key.uid not in there:
            see_off(body)


Listed = Callable[[], Awaitable[object]]
"""Waits until the watches have told of all that was there at the start."""


async def open_queue(begin: asyncio.Event, tools: Reconciler, listed: Listed, *, where: Sequence[str]) -> None:
    """Have jobs handed out, once this operator may begin; never return. In the whole cluster, or in some namespaces."""
    await begin.wait()
    await open_once(tools, listed, where=where)
    await asyncio.Event().wait()


async def open_once(tools: Reconciler, listed: Listed, *, where: Sequence[str]) -> None:
    """Have new jobs begun at once, and the others looked at once all is listed.

    With thousands of jobs the watches take many seconds to tell of them, and those that came while no operator ran are
    among the last. One that an operator had begun before it ended is found under its name, which holds its uid.
    """
    for namespace in where or [""]:
        with contextlib.suppress(ApiError):  # the watches tell of them later
            for body in await tools.client.list(JOBS, namespace, field_selector=NEW):
                tools.queue.add(tools.store.keep_job(slim(body)), first=True)
    await listed()
    tools.queue.release()


def _running(store: Store, key: JobKey) -> bool | None:
    """Return whether a trainer can be asked: True, or None as `Store.each` wants it."""
    pod = store.pod(key)
    if pod is None or attempt_of(pod) == INSPECTION:  # which trains nothing
        return None
    status = pod.get("status") or {}
    return (status.get("phase") == "Running" and bool(status.get("podIP"))) or None
