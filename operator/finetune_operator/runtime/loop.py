"""The one story of a pass over a job: observe, decide, execute, write status, tell, count."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.cluster.client import Client
from finetune_operator.cluster.errors import ApiError, Conflict, NotFound
from finetune_operator.cluster.execute import execute
from finetune_operator.cluster.observe import observe
from finetune_operator.cluster.publish import About, News, publish, tell
from finetune_operator.cluster.store import Store
from finetune_operator.planning.profiles import Profiles
from finetune_operator.reconcile.actions import Decision, Result, State
from finetune_operator.reconcile.decide import decide
from finetune_operator.reconcile.snapshot import Snapshot
from finetune_operator.runtime import clock
from finetune_operator.runtime.queue import WorkQueue
from finetune_operator.status.events import events
from finetune_operator.status.events import of_pods as told_of_pods
from finetune_operator.status.render import render
from finetune_operator.telemetry.logs import keys
from finetune_operator.telemetry.process import Telemetry

LOOK_AGAIN_AFTER_REFUSAL = 15.0
"""Seconds until an object that the API server refused (a quota, an admission policy) is tried again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """What a pass needs."""

    client: Client
    store: Store
    queue: WorkQueue
    profiles: Profiles
    telemetry: Telemetry
    untold: dict[JobKey, News] = field(default_factory=dict)
    """Events of the last pass over a job, which the next one posts: in a burst, every job is begun before."""


async def reconcile_once(tools: Reconciler, key: JobKey) -> str:
    """Pass over a job once; return the result for the metrics: `success` or `requeue`.

    Raises:
        ApiError: the pass has to be tried again.
    """
    # 0. Tell what the last pass did; Events that are not taken are not told again.
    if (news := tools.untold.pop(key, None)) is not None:
        await tell(tools.client, key, news)

    # 1. Observe.
    seen = await observe(tools.client, tools.store, key, profiles=tools.profiles, now=clock.now())
    if seen is None:
        tools.queue.forget(key)
        return "success"

    # 2. Decide.
    decision = decide(seen)

    # 3. Execute.
    result = await execute(tools.client, tools.store, key, decision, now=seen.now)
    tools.queue.begun(key)
    if result.outdated:  # the watches were behind: decide again on what was found
        tools.queue.add(key)
        return "requeue"

    # In a burst every job is begun before the status of any is written: the next pass finds what was created.
    if result.created and tools.queue.beginning and seen.previous.observed_generation is None:
        tools.queue.add(key)
        return "requeue"

    # 4. Write the status, once and only if it changed; the next pass tells of it in Events.
    status = render(seen, decision, result)
    if status != seen.previous:
        of_pods = tuple((About("v1", "Pod", pod.name, pod.uid), event) for pod, event in told_of_pods(seen, status))
        news = News(status, events(seen.previous, status), seen.now, seen.meta.version, of_pods)
        await publish(tools.client, tools.store, key, news)
        if news.events or news.of_pods:
            tools.untold[key] = news
            tools.queue.add(key)
        # 5. Count and log what changed.
        _count(tools.telemetry, seen, decision, status)

    # 6. Look again where nothing else would wake us.
    _warn(key, decision, result)
    after = LOOK_AGAIN_AFTER_REFUSAL if result.refused else decision.requeue_after
    if after is not None:
        tools.queue.add_after(key, after)
        return "requeue"
    return "success"


def _count(telemetry: Telemetry, seen: Snapshot, decision: Decision, status: FineTuneJobStatus) -> None:
    verdict, key = decision.verdict, seen.meta.key
    telemetry.moved(seen, status)
    if seen.previous.phase != status.phase:
        attempt = status.attempts[-1].number if status.attempts else None
        told = keys(job=str(key), uid=key.uid, attempt=attempt, phase=status.phase, reason=verdict.reason.value)
        log.info("phase changed", extra=told)


def _warn(key: JobKey, decision: Decision, result: Result) -> None:
    """Log what cannot be cleared up after a job that has ended: its status, which tells refusals, stands."""
    if result.refused is not None and decision.verdict.state is State.FINISHED_BEFORE:
        log.warning("not cleared up", extra=keys(job=str(key), uid=key.uid, error=result.refused.message))


async def work(begin: asyncio.Event, tools: Reconciler) -> None:
    """Pass over jobs as the queue hands them out, for ever, once this operator may begin."""
    await begin.wait()
    loop = asyncio.get_running_loop()
    while True:
        key = await tools.queue.take()
        tools.telemetry.queued(tools.queue.waited(key))
        began, outcome = loop.time(), "error"
        tools.telemetry.in_flight(tools.queue.running, tools.queue.waiting)
        try:
            outcome = await reconcile_once(tools, key)
            tools.queue.succeeded(key)
        except (Conflict, NotFound):  # the job is gone, or another life of it: the watch will tell
            outcome = "retry"
            tools.queue.retry(key)
        except ApiError as error:
            outcome = "retry"
            seconds = tools.queue.retry(key, at_least=error.patience)
            told = keys(job=str(key), uid=key.uid, error=str(error), seconds=seconds)
            log.warning("pass failed, trying again", extra=told)
        except Exception as error:
            tools.telemetry.unhandled(error)
            seconds = tools.queue.retry(key)
            log.exception("pass failed unexpectedly", extra=keys(job=str(key), uid=key.uid, seconds=seconds))
        finally:
            tools.queue.done(key)
            tools.telemetry.reconciled(outcome, loop.time() - began)
            tools.telemetry.in_flight(tools.queue.running, tools.queue.waiting)
