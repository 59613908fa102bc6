"""Answers Prometheus (`/metrics`) and the kubelet (`/healthz`, `/readyz`)."""

from __future__ import annotations

import asyncio

from aiohttp import web

from finetune_operator.telemetry.exposition import exposition
from finetune_operator.telemetry.process import Telemetry


async def serve(port: int, telemetry: Telemetry, ready: asyncio.Event) -> web.AppRunner:
    """Start answering; the caller cleans the runner up.

    Raises:
        OSError: the port is taken.
    """

    async def metrics(request: web.Request) -> web.Response:
        body, content_type = exposition(telemetry.registry, request.headers.get("Accept", ""))
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
