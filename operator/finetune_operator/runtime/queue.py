"""Jobs that wait for a pass: each at most once, never two passes over one job at a time, failures back off."""

from __future__ import annotations

import asyncio
import collections
import random
import time

from finetune_operator.api.identity import JobKey

FIRST_BACKOFF = 0.5
"""Seconds before the first retry; it doubles with each failure in a row."""

LONGEST_BACKOFF = 60.0
"""Seconds that no retry waits beyond."""


class WorkQueue:
    """A queue of job keys for one event loop."""

    def __init__(self) -> None:
        self._waiting: collections.OrderedDict[JobKey, None] = collections.OrderedDict()
        self._new: collections.OrderedDict[JobKey, None] = collections.OrderedDict()
        self._held: collections.OrderedDict[JobKey, None] | None = None
        self._early: set[JobKey] = set()
        self._running: set[JobKey] = set()
        self._again: set[JobKey] = set()
        self._since: dict[JobKey, float] = {}
        self._failures: dict[JobKey, int] = {}
        self._timers: dict[JobKey, asyncio.TimerHandle] = {}
        self._begins: set[JobKey] = set()
        self._to_take = asyncio.Semaphore(0)  # as many as wait: each wakes one worker

    @property
    def waiting(self) -> int:
        """Jobs that wait for a pass; those held back do not yet."""
        return len(self._waiting) + len(self._new)

    @property
    def beginning(self) -> bool:
        """Whether there are jobs that nothing was done for yet, whether they wait or a pass has just begun."""
        return bool(self._new or self._begins)

    @property
    def running(self) -> int:
        """Passes running now."""
        return len(self._running)

    def add(self, key: JobKey, *, first: bool = False) -> None:
        """Ask for a pass. During a pass over the same job: for one more after it.

        Jobs that nothing was done for yet go `first`: in a burst, each is begun before any is looked at again.
        """
        if key in self._running:
            self._again.add(key)
            return
        self._since.setdefault(key, time.monotonic())
        if self._held is not None:
            if first:
                self._early.add(key)
            elif key not in self._early:
                self._held[key] = None
                return
        if key not in self._new and key not in self._waiting:
            self._to_take.release()
        if first:
            self._waiting.pop(key, None)
            self._new[key] = None
        elif key not in self._new:
            self._waiting[key] = None

    def hold_back(self) -> None:
        """Hand out only jobs that nothing was done for yet, and these as often as they ask, until `release`."""
        self._held = collections.OrderedDict()

    def release(self) -> None:
        """Hand out all."""
        held, self._held = self._held or (), None
        self._early.clear()
        for key in held:
            self.add(key)

    def add_after(self, key: JobKey, seconds: float) -> None:
        """Ask for a pass later; the sooner of two such wishes counts."""
        loop = asyncio.get_running_loop()
        earlier = self._timers.get(key)
        if earlier is not None and not earlier.cancelled() and loop.time() < earlier.when() <= loop.time() + seconds:
            return
        if earlier is not None:
            earlier.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    def retry(self, key: JobKey, at_least: float = 0.0) -> float:
        """Ask for a pass after a failed one, so many seconds later at least; return the seconds until it."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, 10))
        seconds: float = at_least + longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads, guards nothing
        self.add_after(key, seconds)
        return seconds

    def succeeded(self, key: JobKey) -> None:
        """Forget the failures of a job."""
        self._failures.pop(key, None)

    async def take(self) -> JobKey:
        """Wait for the next job and begin a pass over it; `done` must follow.

        Others get their turn before: a pass that finds nothing to do waits for nothing, and thousands in a row would
        keep the API server's answers from those that wait for them. A new job that is heard of meanwhile goes first.
        """
        await self._to_take.acquire()
        await self.give_way()
        if self._new:
            key, _ = self._new.popitem(last=False)
            self._begins.add(key)
        else:
            key, _ = self._waiting.popitem(last=False)
        self._running.add(key)
        return key

    async def give_way(self) -> None:
        """Let everything else that can go on do so first."""
        await asyncio.sleep(0)

    def waited(self, key: JobKey) -> float:
        """Return the seconds that a job waited for the pass which has just begun."""
        return time.monotonic() - self._since.pop(key, time.monotonic())

    def begun(self, key: JobKey) -> None:
        """Know that a pass has done for a job what it could: no other waits for it any more."""
        self._begins.discard(key)

    def done(self, key: JobKey) -> None:
        """End the pass over a job."""
        self._running.discard(key)
        self._begins.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def forget(self, key: JobKey) -> None:
        """Drop everything that is kept about a job."""
        self._failures.pop(key, None)
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()

    def _due(self, key: JobKey) -> None:
        self._timers.pop(key, None)
        self.add(key)
