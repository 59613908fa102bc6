"""Applies many jobs at once, as cheaply as can be: it shares two cores with what it measures."""

from __future__ import annotations

import asyncio
import json
import pathlib
import ssl
import tempfile
import typing
import zlib

import aiohttp
from control_plane import ControlPlane
from finetune_operator.api import keys

NAMESPACE = "team"
CONNECTIONS = 20
"""Jobs on their way at the same time."""

SPEC = {
    "model": {"name": "microsoft/Phi-3-mini-4k-instruct"},
    "task": "chat",
    "dataset": {"source": {"claim": {"name": "data", "path": "rows.jsonl"}}},
    "hardware": {"accelerator": "cpu"},
    "technique": {"method": "qlora"},
    "training": {"sequenceLength": 512},
    "checkpoints": {"storage": {"claim": {"name": "data"}}},
}
"""A job on a claim that is there: nothing but its Job has to be made."""


def claim() -> dict[str, typing.Any]:
    """Return the claim that all jobs share."""
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec}


def apply(server: ControlPlane, names: list[str]) -> None:
    """Create a job of each name."""
    with tempfile.TemporaryDirectory() as folder:
        config = json.loads(server.kubeconfig(pathlib.Path(folder) / "kubeconfig.json").read_text("utf-8"))
    asyncio.run(_apply(config, names))


def _spec(name: str) -> dict[str, typing.Any]:
    """Return the job with a seed of its own, also among other bursts: no plan is remembered from another job."""
    return {**SPEC, "training": {**SPEC["training"], "seed": zlib.crc32(name.encode()) >> 1}}


async def _apply(config: dict[str, typing.Any], names: list[str]) -> None:
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    url = f"{cluster['server']}/apis/{keys.API_VERSION}/namespaces/{NAMESPACE}/{keys.PLURAL}"
    trusted = ssl.create_default_context(cafile=cluster["certificate-authority"])
    headers = {"Authorization": f"Bearer {user['token']}", "Content-Type": "application/json"}
    head = {"apiVersion": keys.API_VERSION, "kind": keys.KIND}
    bodies = [json.dumps({**head, "metadata": {"name": name}, "spec": _spec(name)}) for name in names]
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=trusted)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def create(body: str) -> None:
            async with session.post(url, data=body) as answer:
                text = await answer.text()
                if answer.status != 201:
                    raise SystemExit(f"a job was refused: {text}")

        await asyncio.gather(*(create(body) for body in bodies))
