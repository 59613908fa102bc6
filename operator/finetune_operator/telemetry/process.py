"""Measures the operator as things happen: passes, requests, events, the event loop; `Telemetry` is the entry.

Not here: what a written status means for the fleet (`fleet`), what is shown of jobs at the scrape (`jobs`).
"""

from __future__ import annotations

import os
import platform
import typing
from collections.abc import Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from finetune_operator import __version__
from finetune_operator.api import timestamps
from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.reconcile.snapshot import Snapshot
from finetune_operator.telemetry import process_metrics as metrics
from finetune_operator.telemetry import words
from finetune_operator.telemetry.fleet import Fleet
from finetune_operator.telemetry.instruments import Instruments
from finetune_operator.telemetry.metrics import MEASURED
from finetune_operator.telemetry.writes import Writes

COMMIT = "FINETUNE_COMMIT"
"""Environment variable that an image's build sets to the commit it was made from."""

(HANDLER,) = words.HANDLERS
LEADER, FOLLOWER, STANDALONE = words.ROLES

Body = Mapping[str, typing.Any]


class Telemetry:
    """All measured metrics in one registry of their own."""

    def __init__(self, kopf_version: str) -> None:
        self._made = Instruments(MEASURED)
        self._fleet = Fleet(self._made)
        self._writes = Writes()
        self._kopf_version = kopf_version
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._made.registry)
        self._take_role(STANDALONE)

    @property
    def registry(self) -> CollectorRegistry:
        """Where other collectors join in."""
        return self._made.registry

    @property
    def leads(self) -> bool:
        """Whether this replica acts on jobs, and so shows them."""
        return self._role != FOLLOWER

    def leading(self, leads: bool | None) -> None:  # noqa: FBT001 - three answers to one question
        """Note whether this replica holds the lease; None where there is no election."""
        role = STANDALONE if leads is None else LEADER if leads else FOLLOWER
        if role != self._role:
            self._made.clear_gauges()
            self._take_role(role)

    def reconciled(self, result: str, seconds: float) -> None:
        """Count one pass over a job."""
        result = words.one_of(words.RESULTS, result, "error")
        self._made.count(metrics.RECONCILES, self._role, HANDLER, result)
        self._made.observe(metrics.RECONCILE_SECONDS, seconds, self._role, HANDLER)

    def in_flight(self, running: int, waiting: int) -> None:
        """Show how many passes run and how many jobs wait for one."""
        self._made.set(metrics.IN_FLIGHT, running, self._role, HANDLER)
        self._made.set(metrics.QUEUE_DEPTH, waiting, self._role)

    def queued(self, seconds: float) -> None:
        """Note how long a job waited for its pass."""
        self._made.observe(metrics.QUEUE_SECONDS, seconds, self._role)

    def watched(self, resource: str, now: float, body: Body | None = None) -> None:
        """Note that a watch told something; with the body of a change, how old that change is."""
        self._made.set(metrics.LAST_EVENT, now, self._role, resource)
        changed = _changed(body) if body else None
        if changed is not None:
            self._made.observe(metrics.EVENT_LAG, max(0.0, now - changed), self._role, resource)

    def rewatched(self, resource: str, reason: str) -> None:
        """Count a watch that had to begin again."""
        if resource in words.WATCHED:
            self._made.count(metrics.WATCH_RESTARTS, self._role, resource, reason)

    def requested(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Count one request to the API server."""
        verb, resource = words.one_of(words.VERBS, verb), words.one_of(words.RESOURCES, resource)
        self._made.count(metrics.API_REQUESTS, self._role, verb, resource, words.code(code))
        self._made.observe(metrics.API_SECONDS, seconds, self._role, verb, resource)

    def lagged(self, seconds: float) -> None:
        """Note how late the event loop woke up."""
        self._made.observe(metrics.LOOP_LAG, seconds, self._role)

    def unhandled(self, error: BaseException) -> None:
        """Count an error that no code expected."""
        self._made.count(metrics.UNHANDLED, self._role, words.one_of(words.CAUSES, type(error).__name__))

    def moved(self, seen: Snapshot, status: FineTuneJobStatus) -> None:
        """Count a written status: what it changed, and what it means for the fleet."""
        changed = self._writes.changed(seen.meta.key, seen.previous, status)
        self._made.count(metrics.STATUS_WRITES, self._role, changed)
        self._fleet.moved(seen, status)

    def deleted(self, key: JobKey, status: FineTuneJobStatus, now: float) -> None:
        """Count the device time of a job that is gone, and forget it."""
        self._writes.forget(key)
        self._fleet.deleted(key.namespace, status, now)

    def _take_role(self, role: str) -> None:
        self._role = role
        build = (__version__, os.environ.get(COMMIT, "unknown"), platform.python_version(), self._kopf_version)
        self._made.set(metrics.BUILD_INFO, 1, role, *build)
        self._made.set(metrics.LEADER, float(role != FOLLOWER), role)
        for result in words.RESULTS:
            self._made.count(metrics.RECONCILES, role, HANDLER, result, by=0)
        for resource in words.WATCHED:
            for reason in words.WATCH_ENDS:
                self._made.count(metrics.WATCH_RESTARTS, role, resource, reason, by=0)
        for cause in words.CAUSES:
            self._made.count(metrics.UNHANDLED, role, cause, by=0)
        for change in words.CHANGES:
            self._made.count(metrics.STATUS_WRITES, role, change, by=0)


def _changed(body: Body) -> float | None:
    """Return when an object changed last, by what its fields' managers wrote; None where none of them tells."""
    entries = body.get("metadata", {}).get("managedFields") or ()
    return max((timestamps.parse(entry["time"]) for entry in entries if entry.get("time")), default=None)
