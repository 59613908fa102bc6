"""Bugs that operators are known to have, put into ours one at a time: the random histories find each.

A bug that is not found says that the histories, the model or the invariants are too weak.
"""

import dataclasses
import functools

import pytest
from cluster import objects
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.cluster import client, execute, observe, publish
from finetune_operator.cluster.errors import Conflict
from finetune_operator.cluster.store import Store
from finetune_operator.manifests import labels, names, run_config, volumes, workload
from finetune_operator.reconcile import decide
from finetune_operator.reconcile.actions import Create, Delete, Propagation, Verdict
from finetune_operator.reconcile.attempts import beginning, history, retry, saved, stopping, underway
from finetune_operator.reconcile.lineage import Inheritance
from finetune_operator.reconcile.snapshot import Snapshot
from finetune_operator.runtime import loop
from finetune_operator.runtime.queue import WorkQueue
from histories import find_failure
from modelled_operator import UNEXPECTED, ModelClient, Operator

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
        await publish.tell(api, key, news)
        await real(api, store, key, dataclasses.replace(news, events=(), of_pods=()))

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
    real, start, asked = stopping.deletions, Operator.__init__, set()

    def starting(self, *arguments):
        asked.clear()
        start(self, *arguments)

    def deletions(seen, attempt):
        mark = (seen.meta.key.uid, attempt)
        again = mark in asked
        asked.add(mark)
        return () if again else real(seen, attempt)

    patch.setattr(stopping, "deletions", deletions)
    patch.setattr(Operator, "__init__", starting)


def a_delete_that_hits_whatever_has_the_name(patch):
    """What is deleted is named, and its uid is not."""
    real = ModelClient._send

    async def send(self, request, seconds):
        if request.verb == "delete":
            options = {name: value for name, value in request.body.items() if name != "preconditions"}
            request = dataclasses.replace(request, body=options)
        return await real(self, request, seconds)

    patch.setattr(ModelClient, "_send", send)


def a_fight_with_the_queue_over_suspend(patch):
    """What the queue holds back is let go."""
    real = loop.execute

    async def execute(api, store, key, decision, *, now):
        for job in store.workloads(key):
            if job["spec"].get("suspend"):
                found = await api.get(client.RESOURCES["Job"], key.namespace, job["metadata"]["name"])
                await api.replace(
                    client.RESOURCES["Job"], key.namespace, objects.merged(found, {"spec": {"suspend": False}})
                )
        return await real(api, store, key, decision, now=now)

    patch.setattr(loop, "execute", execute)


def a_job_that_begins_before_its_queue(patch):
    """The Job of a job in a queue is made active."""
    patch.setattr(workload, "held", lambda attempt: {})


def an_eviction_that_counts_as_an_end(patch):
    """An attempt whose queue takes its place back is done for, and another begins."""
    real = underway.follow

    def follow(seen, attempts):
        held = seen.workload_of(attempts[-1].number)
        if held is not None and held.suspended and attempts[-1].queued_seconds is not None:
            return stopping.stop(seen, attempts, Reason.EVICTED, "its queue took its place back")
        return real(seen, attempts)

    patch.setattr(underway, "follow", follow)


def a_rank_that_is_restarted_alone(patch):
    """A pod of several that fails is made again, while the others go on."""
    real = workload.job_spec

    def job_spec(attempt):
        return real(attempt) | ({"backoffLimit": 3} if attempt.plan.nodes > 1 else {})

    patch.setattr(workload, "job_spec", job_spec)


def an_attempt_that_is_over_with_its_first_rank(patch):
    """Of several pods only the one that reports is looked at."""
    real = Snapshot.pods_of
    patch.setattr(Snapshot, "pods_of", lambda seen, attempt: real(seen, attempt)[:1])
    patch.setattr(history, "_over", lambda seen, workload, pods: any(pod.ending for pod in pods))
    patch.setattr(beginning, "_rest", lambda seen: None)
    patch.setattr(beginning, "ProveIdle", lambda: Create({}))
    patch.setattr(execute, "_create", _skipping(execute._create))


def a_parent_that_is_not_waited_for(patch):
    """A job that goes on from another one begins from nothing where that is not done."""
    real = beginning.inherit

    def inherit(spec, parent, method):
        found = real(spec, parent, method)
        return Inheritance(spec) if isinstance(found, Verdict) else found

    patch.setattr(beginning, "inherit", inherit)


def a_bound_that_any_checkpoint_sets_back(patch):
    """What the cluster breaks off is forgiven for a checkpoint, a newer one or not."""

    def since_advance(attempts):
        return () if attempts[-1].checkpoint_step else attempts

    patch.setattr(retry, "since_advance", since_advance)


def a_checkpoint_that_was_only_begun(patch):
    """The step that a trainer has reached counts as saved."""
    real = saved.newest

    def newest(seen, attempt):
        return seen.progress.step if seen.progress else real(seen, attempt)

    patch.setattr(saved, "newest", newest)


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
    a_delete_that_hits_whatever_has_the_name,
    a_fight_with_the_queue_over_suspend,
    a_job_that_begins_before_its_queue,
    an_eviction_that_counts_as_an_end,
    a_rank_that_is_restarted_alone,
    an_attempt_that_is_over_with_its_first_rank,
    a_parent_that_is_not_waited_for,
    a_bound_that_any_checkpoint_sets_back,
    a_checkpoint_that_was_only_begun,
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__.replace("_", " "))
def test_the_histories_find(bug, monkeypatch):
    bug(monkeypatch)
    found = find_failure(BUDGET)
    assert found is not None
    assert UNEXPECTED not in str(found), "the bug was not found: it raised what stopped the operator"


def test_there_are_bugs_enough():
    assert len(BUGS) >= 12
