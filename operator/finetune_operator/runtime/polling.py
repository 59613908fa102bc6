"""Asks every running trainer how far it is and enqueues the jobs that moved."""

from __future__ import annotations

import asyncio

from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.store import Store
from finetune_operator.cluster.trainers import Trainers
from finetune_operator.runtime.queue import WorkQueue

SHORTEST_ROUND = 3.0
"""Seconds from one round of questions to the next."""

ROUNDS_PER_SECOND = 20
"""Trainers asked per second at most: with more of them the rounds get longer, and status writes stay bounded."""

AT_ONCE = 20
"""Trainers asked at the same time."""


async def poll(begin: asyncio.Event, store: Store, queue: WorkQueue, trainers: Trainers) -> None:
    """Ask in rounds, for ever, once this operator may begin."""
    await begin.wait()
    while True:
        asked = await poll_once(store, queue, trainers)
        await asyncio.sleep(max(SHORTEST_ROUND, asked / ROUNDS_PER_SECOND))


async def poll_once(store: Store, queue: WorkQueue, trainers: Trainers) -> int:
    """Ask every running trainer once; return how many were asked."""
    gate = asyncio.Semaphore(AT_ONCE)
    running = [key for key, _body in store.jobs() if _running(store, key)]

    async def ask(key: JobKey) -> None:
        pod = store.pod(key)
        if pod is None:
            return
        async with gate:
            said = await trainers.progress(key.namespace, pod["metadata"]["name"], pod["status"].get("podIP", ""))
        if said is not None and said != store.progress(key):
            store.keep_progress(key, said)
            queue.add(key)

    await asyncio.gather(*(ask(key) for key in running))
    return len(running)


def _running(store: Store, key: JobKey) -> bool:
    pod = store.pod(key)
    status = (pod or {}).get("status") or {}
    return status.get("phase") == "Running" and bool(status.get("podIP"))
