"""The composition root: builds every part, runs them together, stops them together; `run` is the entry."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import platform
import uuid
from collections.abc import Coroutine

import kopf
from aiohttp import web

from finetune_operator import __version__
from finetune_operator.api.keys import FIELD_MANAGER, JOBSET, JOBSET_VERSION
from finetune_operator.cluster.client import RESOURCES, UNFENCED, Client, Fence, NoCluster, connect
from finetune_operator.cluster.errors import ApiError
from finetune_operator.cluster.lease import LeaseLock
from finetune_operator.cluster.store import Store
from finetune_operator.cluster.trainers import Trainers
from finetune_operator.planning.profiles import MultiNode, Profiles
from finetune_operator.runtime import clock, handlers
from finetune_operator.runtime.config import OperatorConfig
from finetune_operator.runtime.leader import Clocks, Elector
from finetune_operator.runtime.loop import Reconciler, work
from finetune_operator.runtime.polling import listen, open_queue, poll, resync
from finetune_operator.runtime.queue import WorkQueue
from finetune_operator.runtime.server import serve
from finetune_operator.runtime.views import Sight, prices
from finetune_operator.telemetry.jobs import JobsCollector
from finetune_operator.telemetry.logs import keys
from finetune_operator.telemetry.process import Telemetry
from finetune_operator.telemetry.watches import count_restarts

LAG_PROBE_SECONDS = 1.0
"""How often the event loop's lag is measured."""

log = logging.getLogger(__name__)


class CannotStart(Exception):
    """What the operator needs is not there; the message names it and the way out."""


async def run(config: OperatorConfig) -> None:
    """Run the operator until it is told to stop (SIGTERM, SIGINT).

    Raises:
        CannotStart: no cluster to connect to, or the port is taken.
        LeadershipLost: another operator leads, or may.
    """
    telemetry = Telemetry(importlib.metadata.version("kopf"))
    store, queue, ready = Store(), WorkQueue(), asyncio.Event()
    sight = Sight(store)
    count_restarts(telemetry.rewatched)
    telemetry.registry.register(
        JobsCollector(
            lambda: sight.views() if telemetry.leads else (),
            max_jobs=config.metrics.per_job.max_jobs,
            prices=prices(config.profiles),
            clock=clock.now,
        )
    )
    async with contextlib.AsyncExitStack() as closing:
        closing.push_async_callback((await _serve(config, telemetry, ready, sight)).cleanup)
        elector = await _elector(config, telemetry, closing)
        fence = elector.remaining if elector else UNFENCED
        client, inside = await _connect(telemetry, fence, closing, workers=config.workers)
        profiles = await _with_jobsets(client, config.profiles)
        trainers = Trainers(client, inside=inside)
        closing.push_async_callback(trainers.close)
        reconciler = Reconciler(client, store, queue, profiles, telemetry)
        log.info("started", extra=keys(version=__version__, inside=inside, namespaces=config.watch.namespaces or "all"))
        begin, listing = asyncio.Event(), handlers.Listing()
        queue.hold_back()
        helpers = [
            _lead(elector, begin, telemetry),
            open_queue(begin, reconciler, lambda: listing.over(ready), where=config.watch.namespaces),
            poll(begin, store, queue, trainers),
            _measure_lag(telemetry),
        ]
        helpers.append(listen(begin, client, store, queue))
        see_off = handlers.farewell(store, queue, telemetry)
        helpers.append(resync(begin, client, store, see_off, where=config.watch.namespaces))
        helpers += [work(begin, reconciler) for _ in range(config.workers)]
        doors = handlers.registry(store, queue, telemetry, jobsets=client.jobsets, listing=listing)
        watches = _watch(config, doors, ready)
        try:
            await _until_one_ends(watches, *helpers)
        finally:
            # Nothing writes any more: another operator may begin.
            if elector is not None:
                await elector.release()
            log.info("stopped", extra=keys(version=__version__))


async def _serve(config: OperatorConfig, telemetry: Telemetry, ready: asyncio.Event, sight: Sight) -> web.AppRunner:
    try:
        return await serve(config.server.port, telemetry, ready, sight.take)
    except OSError as error:
        raise CannotStart(f"server.port {config.server.port}: {error.strerror}; name another in --config") from error


async def _connect(
    telemetry: Telemetry, fence: Fence, closing: contextlib.AsyncExitStack, *, workers: int = 0
) -> tuple[Client, bool]:
    try:
        client, inside = await connect(telemetry.requested, fence, workers=workers)
    except NoCluster as error:
        raise CannotStart(f"no cluster: {error}; set KUBECONFIG or the current context") from error
    closing.push_async_callback(client.close)
    return client, inside


async def _with_jobsets(client: Client, profiles: Profiles) -> Profiles:
    """Find out whether attempts on several nodes are JobSets here; return the profiles with that decided.

    Where they are Jobs, some may still run that were begun as JobSets: they are watched wherever there may be any.

    Raises:
        CannotStart: they are to be, and there is no such kind, or the API server does not say.
    """
    wish = profiles.trainer.multi_node
    try:
        client.jobsets = await client.serves(RESOURCES[JOBSET])
    except ApiError as error:
        raise CannotStart(f"profiles.trainer.multiNode: {wish}: the API server does not say: {error}") from error
    if wish is MultiNode.JOBSET and not client.jobsets:
        raise CannotStart(f"profiles.trainer.multiNode: {wish}: no {JOBSET_VERSION} in this cluster; install JobSet")
    found = MultiNode.JOBSET if client.jobsets and wish is not MultiNode.JOBS else MultiNode.JOBS
    log.info("multi-node", extra=keys(objects=found.value))
    return profiles.model_copy(update={"trainer": profiles.trainer.model_copy(update={"multi_node": found})})


async def _elector(config: OperatorConfig, telemetry: Telemetry, closing: contextlib.AsyncExitStack) -> Elector | None:
    """Return the candidate that this process is, with connections of its own, or None where it is alone."""
    if not config.leader_election.enabled:
        return None
    client, _ = await _connect(telemetry, UNFENCED, closing)
    lock = LeaseLock(client, config.leader_election.namespace, config.leader_election.name)
    return Elector(lock, f"{platform.node()}_{uuid.uuid4()}", Clocks(clock.steady, clock.now, asyncio.sleep))


async def _lead(elector: Elector | None, begin: asyncio.Event, telemetry: Telemetry) -> None:
    """Let the workers begin once this operator leads; return only by an error."""
    if elector is not None:
        telemetry.leading(False)
        await elector.acquire()
        telemetry.leading(True)
    begin.set()
    await (elector.hold() if elector is not None else asyncio.Event().wait())


async def _until_one_ends(*parts: Coroutine[object, object, None]) -> None:
    """Run all parts together. Only the watches return, when told to stop; any other that ends has failed."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _watch(config: OperatorConfig, registry: kopf.OperatorRegistry, ready: asyncio.Event) -> None:
    settings = handlers.settings()
    settings.scanning.disabled = bool(config.watch.namespaces)
    await kopf.operator(
        registry=registry,
        settings=settings,
        identity=FIELD_MANAGER,  # else kopf asks for the user's name, which a numeric user of an image does not have
        standalone=True,
        clusterwide=not config.watch.namespaces,
        namespaces=config.watch.namespaces,
        ready_flag=ready,
    )


async def _measure_lag(telemetry: Telemetry) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(LAG_PROBE_SECONDS)
        telemetry.lagged(max(0.0, loop.time() - began - LAG_PROBE_SECONDS))
