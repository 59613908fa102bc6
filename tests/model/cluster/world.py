"""A whole modelled cluster, as tests see it: requests, time, and everything that works in it by itself."""

from __future__ import annotations

from collections.abc import Callable

from cluster import collectors, job_controller
from cluster.api_server import MERGE, ApiServer
from cluster.clock import Clock
from cluster.kinds import NAMESPACE
from cluster.objects import Body

TEAM = "team"
SHORT, LONG = 0.5, 120.0
"""Seconds that pass between two looks, and that are waited for at most."""


class World:
    """One namespace `team` in a cluster without nodes: pods stay as they are until a test says otherwise."""

    namespace = TEAM

    def __init__(self) -> None:
        self.clock = Clock()
        self.api = ApiServer(self.clock)
        self.api.create(NAMESPACE, "", {"metadata": {"name": TEAM}})

    def request(
        self, method: str, path: str, body: Body | None = None, *, patch: str = MERGE, **query: str
    ) -> tuple[int, Body]:
        return self.api.request(method, path, body, patch=patch, **query)

    def until(self, ask: Callable[[], bool], waiting_for: str = "it") -> None:
        """Let the controllers work until the answer is true."""
        began = self.clock.now
        while not ask():
            self.controllers_work()
            self.clock.advance(SHORT)
            if self.clock.now - began > LONG:
                raise TimeoutError(f"waited for {waiting_for}")

    def controllers_work(self) -> None:
        job_controller.work(self.api)
        collectors.work(self.api)
