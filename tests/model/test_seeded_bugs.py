"""Bugs that operators are known to have, put into ours one at a time: the random histories find each.

A bug that is not found says that the histories, the model or the invariants are too weak.
"""

import dataclasses
import functools

import pytest
from finetune_operator.cluster import client, execute, observe, publish
from finetune_operator.cluster.errors import Conflict
from finetune_operator.cluster.store import Store
from finetune_operator.manifests import labels, names, run_config, volumes, workload
from finetune_operator.reconcile import decide
from finetune_operator.reconcile.actions import Create, Delete, Propagation
from finetune_operator.reconcile.attempts import beginning, history, retry, stopping
from finetune_operator.runtime import loop
from finetune_operator.runtime.queue import WorkQueue
from histories import find_failure

BUDGET = 2000
"""Histories in which each bug has to be found: as many as the other test runs."""


def names_without_the_uid(patch):
    """Children are named after the job's name alone."""
    patch.setattr(names, "stem", lambda key: f"{key.name}-0")


def a_swallowed_conflict(patch):
    """A status that was not written counts as written."""
    real = client.Client.apply_status

    async def apply_status(self, resource, body):
        try:
            return await real(self, resource, body)
        except Conflict:
            metadata = body["metadata"]
            found = await self.get(resource, metadata["namespace"], metadata["name"])
            return {**found, "status": body["status"]}

    patch.setattr(client.Client, "apply_status", apply_status)


def a_status_without_its_version(patch):
    """A status is written over whatever is there."""
    real = client.Client.apply_status

    async def apply_status(self, resource, body):
        metadata = {name: value for name, value in body["metadata"].items() if name != "resourceVersion"}
        return await real(self, resource, {**body, "metadata": metadata})

    patch.setattr(client.Client, "apply_status", apply_status)


def a_step_driven_by_status(patch):
    """An attempt that status tells of is believed to be there, whatever became of its Job."""
    real = history._over
    patch.setattr(history, "_over", lambda seen, workload, pods: workload is not None and real(seen, workload, pods))


def no_live_look_before_an_attempt(patch):
    """What the watches told is all there is."""
    real, stores = observe.observe, []

    async def observing(api, store, key, **facts):
        stores[:] = [store]
        return await real(api, store, key, **facts)

    async def look(api, key):
        return stores[0].known(key)

    patch.setattr(loop, "observe", observing)
    for module in (observe, execute):
        patch.setattr(module, "look", look)


def memory_counted_as_failures(patch):
    """An attempt that ran out of memory counts for backoffLimit, and is repeated as it was."""
    real = retry.failure_class

    def failure_class(reason):
        found = real(reason)
        return retry.FailureClass.OTHER if found is retry.FailureClass.MEMORY else found

    patch.setattr(retry, "failure_class", failure_class)


def attempts_forgotten_in_a_restart(patch):
    """Attempts are what the process has seen, not what status remembers."""
    real = history.history

    def forgetful(seen):
        return real(dataclasses.replace(seen, previous=seen.previous.model_copy(update={"attempts": ()})))

    patch.setattr(decide, "history", forgetful)


def a_suspension_that_does_not_wait(patch):
    """An attempt is over when its Job is deleted; its pods may still save."""
    real = history._over
    in_the_background = functools.partial(Delete, propagation=Propagation.BACKGROUND)
    patch.setattr(stopping, "Delete", in_the_background)
    patch.setattr(history, "_over", lambda seen, workload, pods: workload is None or real(seen, workload, pods))
    patch.setattr(beginning, "_rest", lambda seen: None)
    patch.setattr(beginning, "ProveIdle", lambda: Create({}))
    patch.setattr(execute, "_create", _skipping(execute._create))


def _skipping(real):
    async def create(api, store, action):
        return await real(api, store, action) if action.manifest else 0

    return create


def an_end_that_is_rewritten(patch):
    """A job that has ended is looked at as if it had not."""
    patch.setattr(decide, "finished", lambda status: False)


def another_effective_batch(patch):
    """A smaller micro-batch is not made up for by accumulation."""
    real = run_config._training

    def training(spec, plan):
        return dataclasses.replace(real(spec, plan), gradient_accumulation_steps=1)

    patch.setattr(run_config, "_training", training)


def a_lost_wish_to_look_again(patch):
    """A pass that asks to be repeated later is not."""
    patch.setattr(WorkQueue, "add_after", lambda self, key, seconds: None)


def events_before_the_status(patch):
    """People are told before it is true."""
    real = publish.publish

    async def told_first(api, store, key, news):
        for event in news.events:
            await publish._post(api, key, event, news.now)
        await real(api, store, key, dataclasses.replace(news, events=()))

    patch.setattr(loop, "publish", told_first)


def a_folder_for_each_attempt(patch):
    """An attempt looks for checkpoints where the one before did not leave them."""
    real = run_config.trainer_run

    def trainer_run(attempt):
        run = real(attempt)
        own = dataclasses.replace(run.checkpoints, directory=f"{run.checkpoints.directory}/{attempt.number}")
        return dataclasses.replace(run, checkpoints=own)

    patch.setattr(run_config, "trainer_run", trainer_run)


def one_retry_too_many(patch):
    """backoffLimit is off by one."""
    real = retry._count
    patch.setattr(retry, "_count", lambda attempts, kind: max(0, real(attempts, kind) - 1))


def children_without_an_owner(patch):
    """Nobody clears up after a job that is deleted."""
    real = labels.metadata

    def metadata(*arguments, **options):
        found = real(*arguments, **options)
        return {name: value for name, value in found.items() if name != "ownerReferences"}

    for module in (volumes, workload):
        patch.setattr(module, "metadata", metadata)


def a_ghost_that_is_believed(patch):
    """What was deleted while the watch was lost is there for ever."""
    patch.setattr(Store, "resync", lambda self, key, before, shown, now: None)


def a_stop_that_is_asked_once(patch):
    """A Job is asked to go once; that this may have failed is not thought of."""
    real, asked = stopping.deletions, set()

    def deletions(seen, attempt):
        mark = (seen.meta.key.uid, attempt)
        again = mark in asked
        asked.add(mark)
        return () if again else real(seen, attempt)

    patch.setattr(stopping, "deletions", deletions)


BUGS = [
    names_without_the_uid,
    a_swallowed_conflict,
    a_status_without_its_version,
    a_step_driven_by_status,
    no_live_look_before_an_attempt,
    memory_counted_as_failures,
    attempts_forgotten_in_a_restart,
    a_suspension_that_does_not_wait,
    an_end_that_is_rewritten,
    another_effective_batch,
    a_lost_wish_to_look_again,
    events_before_the_status,
    a_folder_for_each_attempt,
    one_retry_too_many,
    children_without_an_owner,
    a_ghost_that_is_believed,
    a_stop_that_is_asked_once,
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__.replace("_", " "))
def test_the_histories_find(bug, monkeypatch):
    bug(monkeypatch)
    found = find_failure(BUDGET)
    assert found is not None


def test_there_are_bugs_enough():
    assert len(BUGS) >= 12
