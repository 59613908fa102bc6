"""Decides when this operator leads: takes the Lease, renews it, and stops in time; `Elector` is the entry.

Of several operators one writes, the others watch and wait. What counts here are seconds of this process's own steady
clock since it saw something, never the moments written in the Lease, so wrong clocks cannot make two leaders. The
leader stops `LEASE_SECONDS - RENEW_DEADLINE` before anybody may take its place, and no write of its own outlives that:
`remaining` bounds each of them (the fence of `cluster.client`).
"""

from __future__ import annotations

import dataclasses
import logging
import math
import random
import typing
from collections.abc import Awaitable, Callable

from finetune_operator.cluster.errors import ApiError, Conflict
from finetune_operator.cluster.lease import Lease
from finetune_operator.telemetry.logs import keys

LEASE_SECONDS = 10
"""Seconds after the last renewal that others leave a leader its place."""

RENEW_DEADLINE = 7.0
"""Seconds after the last renewal that a leader writes; 3 less than the others wait, for what is still on its way."""

RETRY_SECONDS = 2.0
"""Seconds from one look, or one renewal, to the next; a candidate's are up to a fifth longer, so that they spread."""

REQUEST_SECONDS = 2.5
"""Longest time that one request for the Lease may take: two fit into the deadline."""

log = logging.getLogger(__name__)


class Lock(typing.Protocol):
    """Where the Lease is kept; `cluster.lease.LeaseLock` is one."""

    async def read(self, seconds: float) -> Lease:
        """Return the Lease as it is now."""

    async def write(self, lease: Lease, seconds: float) -> Lease:
        """Write it over the version it was read at."""


class LeadershipLost(Exception):
    """The Lease could not be renewed in time, or somebody else holds it: this process has to end."""


@dataclasses.dataclass(frozen=True, slots=True)
class Clocks:
    """The time of this process: `steady` only goes forward, `now` is the time of day, `sleep` waits; in seconds."""

    steady: Callable[[], float]
    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


class Elector:
    """One candidate; no other process, nor this one before a restart, has its `identity`."""

    def __init__(self, lock: Lock, identity: str, clocks: Clocks) -> None:
        self._lock = lock
        self._identity = identity
        self._clocks = clocks
        self._until = -math.inf
        self._known: Lease | None = None
        self._changed_at = -math.inf

    def leading(self) -> bool:
        """Return whether this operator may write now."""
        return self.remaining() > 0

    def remaining(self) -> float:
        """Return the seconds that a write begun now may last; 0 where there may be another leader."""
        return max(0.0, self._until - self._clocks.steady())

    async def acquire(self) -> None:
        """Wait until this operator leads."""
        while not await self._tried():
            await self._clocks.sleep(RETRY_SECONDS * random.uniform(1.0, 1.2))  # noqa: S311 - spreads, guards nothing
        log.info("leading", extra=keys(identity=self._identity))

    async def hold(self) -> typing.NoReturn:
        """Renew the Lease until that fails.

        Raises:
            LeadershipLost: always, in the end.
        """
        while self.leading():
            await self._clocks.sleep(min(RETRY_SECONDS, self.remaining()))
            if self.leading():
                await self._tried()
        raise LeadershipLost(f"{self._identity} could not renew the Lease in {RENEW_DEADLINE:.0f} s, or lost it")

    async def release(self) -> None:
        """Give the Lease back after the last write, so that another operator takes over at once."""
        if not self.leading() or self._known is None:
            return
        self._until = -math.inf
        nobodys = dataclasses.replace(self._known, holder="", seconds=1, renewed=self._clocks.now())
        try:
            await self._lock.write(nobodys, REQUEST_SECONDS)
        except ApiError as error:  # it expires by itself
            log.warning("Lease not released", extra=keys(error=str(error)))

    async def _tried(self) -> bool:
        try:
            return await self.attempt()
        except ApiError as error:
            log.warning("Lease not reached", extra=keys(identity=self._identity, error=str(error)))
            return False

    async def attempt(self) -> bool:
        """Take or renew the Lease if it is free or ours; return whether it is ours now.

        Raises:
            ApiError: the API server did not answer, or not in time; nothing changed for this operator.
        """
        began = self._clocks.steady()
        known = self._known
        if known is None or known.holder != self._identity:
            known = self._see(await self._lock.read(REQUEST_SECONDS))
        if known.holder not in {"", self._identity} and began < self._changed_at + known.seconds:
            return False
        try:
            written = await self._lock.write(self._claim(known), REQUEST_SECONDS)
        except Conflict:  # somebody wrote: who leads now? Until that is known the last renewal still counts
            if self._see(await self._lock.read(REQUEST_SECONDS)).holder != self._identity:
                self._until = -math.inf
            return False
        self._known = written
        # From before the request: the others count from when they saw it, which is later.
        self._until = began + RENEW_DEADLINE
        return True

    def _see(self, lease: Lease) -> Lease:
        """Take in what was read. The moment that it changed is the moment that we saw it changed."""
        before = self._known
        if before is None or (before.holder, before.renewed) != (lease.holder, lease.renewed):
            self._changed_at = self._clocks.steady()
        self._known = lease
        return lease

    def _claim(self, known: Lease) -> Lease:
        now, ours = self._clocks.now(), known.holder == self._identity
        return Lease(
            holder=self._identity,
            seconds=LEASE_SECONDS,
            acquired=known.acquired if ours else now,
            renewed=now,
            transitions=known.transitions if ours else known.transitions + 1,
            version=known.version,
        )
