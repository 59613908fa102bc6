"""Answers Prometheus (`/metrics`) and the kubelet (`/healthz`, `/readyz`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from finetune_operator.telemetry.instruments import exposition
from finetune_operator.telemetry.process import Telemetry


async def serve(port: int, telemetry: Telemetry, ready: asyncio.Event, look: Callable[[], None]) -> web.AppRunner:
    """Start answering; the caller cleans the runner up.

    Metrics are collected and written in a thread. `look` is called in the event loop before, to take what they show
    of things that change there.

    Raises:
        OSError: the port is taken.
    """

    async def metrics(request: web.Request) -> web.Response:
        look()
        accept = request.headers.get("Accept", "")
        body, content_type = await asyncio.to_thread(exposition, telemetry.registry, accept)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")  # answering at all shows that the event loop turns

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok") if ready.is_set() else web.Response(text="watches are starting", status=503)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
