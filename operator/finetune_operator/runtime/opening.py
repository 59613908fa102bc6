"""The start: new jobs are begun before the watches have told of all that is there; `open_queue` is the entry."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Sequence

from finetune_operator.cluster.client import CACHED, JOBS, Client
from finetune_operator.cluster.errors import ApiError
from finetune_operator.cluster.store import Store
from finetune_operator.runtime.handlers import slim
from finetune_operator.runtime.queue import WorkQueue

NEW = "status.phase="
"""Selects the jobs that nothing was done for yet: they have no phase."""


async def open_queue(
    client: Client, store: Store, queue: WorkQueue, listed: Awaitable[object], *, where: Sequence[str]
) -> None:
    """Have new jobs begun at once, and the others looked at once all is `listed`; in all namespaces, or some.

    With thousands of jobs the watches take many seconds to tell of them, and those that came while no operator ran are
    among the last. One that an operator had begun before it ended is found under its name, which holds its uid.
    """
    for namespace in where or [""]:
        with contextlib.suppress(ApiError):  # the watches tell of them later
            for body in await client.list(JOBS, namespace, field_selector=NEW, at=CACHED):
                queue.add(store.keep_job(slim(body)), first=True)
    await listed
    queue.release()
