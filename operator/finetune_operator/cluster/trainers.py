"""Asks running trainers how far they are: over the pod network, or through the API server from outside it."""

from __future__ import annotations

import aiohttp
from finetune_trainer import contract
from finetune_trainer.contract import PROGRESS_PORT, Progress

from finetune_operator.cluster.client import Client
from finetune_operator.cluster.errors import ApiError

ANSWER_SECONDS = 3.0
"""Longest time a trainer has to answer; it answers from memory."""

ANSWER_LIMIT = 64 * 1024
"""Bytes that an answer may have: the pod is the user's, so its answer is not trusted to end."""


class Trainers:
    """The trainers of one cluster."""

    def __init__(self, client: Client, *, inside: bool) -> None:
        self._client = client
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) if inside else None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def progress(self, namespace: str, pod: str, ip: str) -> Progress | None:
        """Return what a trainer says, or None where it does not (yet) answer."""
        try:
            return contract.from_json(Progress, await self._ask(namespace, pod, ip))
        except (contract.ContractError, ApiError, aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def _ask(self, namespace: str, pod: str, ip: str) -> str:
        if self._session is None:
            return await self._client.pod_proxy(namespace, pod, f"{PROGRESS_PORT}/progress", ANSWER_SECONDS)
        host = f"[{ip}]" if ":" in ip else ip
        async with self._session.get(f"http://{host}:{PROGRESS_PORT}/progress", allow_redirects=False) as response:
            return (await response.content.read(ANSWER_LIMIT)).decode("utf-8", "replace")
