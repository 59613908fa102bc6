"""The start: new jobs are begun before the watches have told of all that is there; `open_queue` is the entry."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from finetune_operator.cluster.client import JOBS
from finetune_operator.cluster.errors import ApiError
from finetune_operator.runtime.handlers import slim
from finetune_operator.runtime.loop import Reconciler

NEW = "status.phase="
"""Selects the jobs that nothing was done for yet: they have no phase."""

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
