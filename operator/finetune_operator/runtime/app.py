"""The composition root: builds every part, runs them together, stops them together; `run` is the entry."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging

import kopf

from finetune_operator import __version__
from finetune_operator.api.keys import FIELD_MANAGER
from finetune_operator.cluster.client import NoCluster, connect
from finetune_operator.cluster.store import Store
from finetune_operator.cluster.trainers import Trainers
from finetune_operator.runtime import handlers
from finetune_operator.runtime.config import OperatorConfig
from finetune_operator.runtime.loop import Reconciler, work
from finetune_operator.runtime.polling import poll
from finetune_operator.runtime.queue import WorkQueue
from finetune_operator.runtime.server import serve
from finetune_operator.runtime.views import views
from finetune_operator.telemetry.jobs import JobsCollector
from finetune_operator.telemetry.logs import keys
from finetune_operator.telemetry.process import Telemetry

LAG_PROBE_SECONDS = 1.0
"""How often the event loop's lag is measured."""

log = logging.getLogger(__name__)


class CannotStart(Exception):
    """What the operator needs is not there; the message names it and the way out."""


async def run(config: OperatorConfig) -> None:
    """Run the operator until it is told to stop (SIGTERM, SIGINT).

    Raises:
        CannotStart: no cluster to connect to, or the port is taken.
    """
    telemetry = Telemetry(importlib.metadata.version("kopf"))
    store, queue, ready = Store(), WorkQueue(), asyncio.Event()
    telemetry.registry.register(JobsCollector(lambda: views(store)))
    try:
        server = await serve(config.server.port, telemetry, ready)
    except OSError as error:
        raise CannotStart(f"server.port {config.server.port}: {error.strerror}; name another in --config") from error
    try:
        client, inside = await connect(telemetry.requested)
    except NoCluster as error:
        await server.cleanup()
        raise CannotStart(f"no cluster: {error}; set KUBECONFIG or the current context") from error
    trainers = Trainers(client, inside=inside)
    reconciler = Reconciler(client, store, queue, config.profiles, telemetry)
    log.info("started", extra=keys(version=__version__, inside=inside, namespaces=config.watch.namespaces or "all"))
    helpers = [asyncio.create_task(work(reconciler)) for _ in range(config.workers)]
    helpers += [
        asyncio.create_task(poll(store, queue, trainers)),
        asyncio.create_task(_measure_lag(telemetry)),
    ]
    watches = asyncio.create_task(_watch(config, handlers.registry(store, queue, telemetry), ready))
    try:
        # A helper never returns: the first to end has failed, and so has the operator.
        done, _ = await asyncio.wait([watches, *helpers], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (watches, *helpers):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(watches, *helpers, return_exceptions=True)
        await server.cleanup()
        await trainers.close()
        await client.close()
        log.info("stopped", extra=keys(version=__version__))


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
