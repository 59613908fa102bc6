"""What is done in which situation. Each case is a sentence."""

import dataclasses
import typing

import pytest
from builders import (
    NOW,
    a_failure,
    a_job,
    a_pod,
    a_report,
    a_workload,
    an_attempt,
    at_step,
    ended,
    remembered,
    seen,
    status_of,
)
from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.manifests.volumes import Required
from finetune_operator.reconcile.actions import Create, Delete, ProveIdle, State
from finetune_operator.reconcile.attempts.history import LAST_WORD_GRACE
from finetune_operator.reconcile.attempts.underway import WAITING_RESYNC
from finetune_operator.reconcile.decide import decide
from finetune_operator.reconcile.snapshot import InvalidSpec, Missing, Snapshot
from finetune_trainer.contract import ExitCode, FailureReason, Outcome

COMPLETE = {"complete": True, "finished_at": NOW - 1}
FAILED = {"failed_reason": "BackoffLimitExceeded", "finished_at": NOW - 1}
LONG_AGO = NOW - LAST_WORD_GRACE - 1
CLAIM = Missing(Required("PersistentVolumeClaim", "samples", "spec.dataset.source.claim.name"))
ROWS = Required("ConfigMap", "rows", "spec.dataset.source.configMap", "rows.jsonl")


class Case(typing.NamedTuple):
    seen: Snapshot
    want_state: State
    want_reason: Reason
    want_done: tuple[str, ...] = ()
    want_again: float | None = None


CASES = {
    "a new job is planned and its objects are created, the Job last": Case(
        seen(), State.CREATING, Reason.CREATED, ("PersistentVolumeClaim", "Job")
    ),
    "a job on ephemeral storage makes no claim": Case(
        seen(a_job(checkpoints={"storage": {"ephemeral": {}}})), State.CREATING, Reason.CREATED, ("Job",)
    ),
    "a job on a claim of the user's makes none of its own": Case(
        seen(a_job(checkpoints={"storage": {"claim": {"name": "mine"}}})),
        State.CREATING,
        Reason.CREATED,
        ("Job",),
    ),
    "a job that cannot be planned is refused": Case(
        seen(a_job(model={"name": "unheard-of"})), State.REFUSED, Reason.UNKNOWN_MODEL
    ),
    "a job with an image that is not allowed is refused": Case(
        seen(a_job(image="registry.example/evil:1")), State.REFUSED, Reason.UNSUPPORTED
    ),
    "a job that cannot run is refused before what it needs is looked for": Case(
        seen(a_job(image="registry.example/evil:1"), missing=(CLAIM,)), State.REFUSED, Reason.UNSUPPORTED
    ),
    "a job that cannot run is refused also where it begins suspended": Case(
        seen(a_job(image="registry.example/evil:1", suspend=True)), State.REFUSED, Reason.UNSUPPORTED
    ),
    "a spec the models do not accept is refused": Case(
        seen(InvalidSpec("spec.task: nonsense")), State.REFUSED, Reason.INVALID_SPEC
    ),
    "a job waits for its claim and looks again": Case(
        seen(missing=(CLAIM,)), State.WAITING, Reason.CLAIM_NOT_FOUND, want_again=5.0
    ),
    "a job waits for its ConfigMap and looks again": Case(
        seen(missing=(Missing(ROWS),)), State.WAITING, Reason.CONFIG_MAP_NOT_FOUND, want_again=5.0
    ),
    "a job waits for a key of its ConfigMap": Case(
        seen(missing=(Missing(ROWS, ("other",)),)), State.WAITING, Reason.CONFIG_MAP_KEY_NOT_FOUND, want_again=5.0
    ),
    "a job that is being deleted is left alone": Case(seen(deleting=True), State.DELETING, Reason.ACTIVE),
    "a Job without a pod is told in the words of its creation": Case(
        seen(workload=a_workload()), State.CREATING, Reason.CREATED, want_again=WAITING_RESYNC
    ),
    "a running pod that has not spoken is starting": Case(
        seen(workload=a_workload(), pod=a_pod(running=True)), State.STARTING, Reason.STARTING, want_again=300.0
    ),
    "a complete Job with a report has succeeded": Case(
        seen(workload=a_workload(**COMPLETE), pod=ended(0, report=a_report())), State.SUCCEEDED, Reason.SUCCEEDED
    ),
    "a complete Job whose pod's end is not yet known is looked at again": Case(
        seen(workload=a_workload(**COMPLETE), pod=a_pod(running=True), progress=at_step(100)),
        State.TRAINING,
        Reason.TRAINING,
        want_again=1.0,
    ),
    "a complete Job whose pod is gone has succeeded all the same": Case(
        seen(workload=a_workload(complete=True, finished_at=LONG_AGO)), State.SUCCEEDED, Reason.SUCCEEDED
    ),
    "a complete Job with an unreadable report has succeeded all the same": Case(
        seen(workload=a_workload(**COMPLETE), pod=ended(0, message="?")), State.SUCCEEDED, Reason.SUCCEEDED
    ),
    "a job that has succeeded did so although it should have been cancelled": Case(
        seen(a_job(cancel=True), workload=a_workload(**COMPLETE), pod=ended(0, report=a_report())),
        State.SUCCEEDED,
        Reason.SUCCEEDED,
    ),
    "a failure that is the user's ends the job": Case(
        seen(workload=a_workload(**FAILED), pod=ended(10, report=a_failure(FailureReason.DATA_INVALID))),
        State.FAILED,
        Reason.DATA_INVALID,
    ),
    "a trainer that was stopped from outside goes on at once": Case(
        seen(
            workload=a_workload(**FAILED),
            pod=ended(ExitCode.SUSPENDED, report=a_report(outcome=Outcome.SUSPENDED, checkpoint_step=40)),
        ),
        State.CREATING,
        Reason.RESTARTING,
        ("proof", "PersistentVolumeClaim", "Job"),
    ),
    "a suspended job makes its trainer save and end": Case(
        seen(a_job(suspend=True), workload=a_workload(), pod=a_pod(running=True)),
        State.SUSPENDING,
        Reason.SUSPENDING,
        ("delete Job",),
        want_again=2.0,
    ),
    "a job that is suspended before it began rests": Case(seen(a_job(suspend=True)), State.SUSPENDED, Reason.SUSPENDED),
    "a job whose attempt has ended rests once it is suspended": Case(
        seen(a_job(suspend=True), previous=remembered(an_attempt(reason="Suspended"))),
        State.SUSPENDED,
        Reason.SUSPENDED,
    ),
    "a job that waits for a retry rests once it is suspended": Case(
        seen(a_job(suspend=True), previous=remembered(an_attempt(reason="TrainerError"))),
        State.SUSPENDED,
        Reason.SUSPENDED,
    ),
    "a job that is wanted again resumes with the next attempt": Case(
        seen(previous=remembered(an_attempt(reason="Suspended"))),
        State.CREATING,
        Reason.RESUMED,
        ("proof", "PersistentVolumeClaim", "Job"),
    ),
    "a cancelled job makes its trainer save and end": Case(
        seen(a_job(cancel=True), workload=a_workload(), pod=a_pod(running=True)),
        State.STOPPING,
        Reason.CANCELLING,
        ("delete Job",),
        want_again=2.0,
    ),
    "a job that is cancelled before it began has ended": Case(
        seen(a_job(cancel=True), missing=(CLAIM,)), State.CANCELLED, Reason.CANCELLED
    ),
    "a suspended job that is cancelled has ended": Case(
        seen(a_job(cancel=True, suspend=True), previous=remembered(an_attempt(reason="Suspended"))),
        State.CANCELLED,
        Reason.CANCELLED,
    ),
    "a job over its deadline makes its trainer save and end": Case(
        seen(a_job(activeDeadlineSeconds=30), workload=a_workload(), pod=a_pod(running=True)),
        State.STOPPING,
        Reason.DEADLINE_EXCEEDED,
        ("delete Job",),
        want_again=2.0,
    ),
    "a job whose attempts took all of its time has ended": Case(
        seen(
            a_job(activeDeadlineSeconds=30, suspend=True),
            previous=remembered(an_attempt(reason="Suspended", active_seconds=30)),
        ),
        State.FAILED,
        Reason.DEADLINE_EXCEEDED,
    ),
    "a job waits before it is tried again": Case(
        seen(previous=remembered(an_attempt(reason="TrainerError", message="boom"))),
        State.RESTARTING,
        Reason.RESTARTING,
        want_again=pytest.approx(9, abs=1.1),
    ),
    "a job does not wait for an hour by which the clock was put back": Case(
        seen(previous=remembered(an_attempt(reason="Suspended", end_time=timestamps.write(NOW + 3600)))),
        State.CREATING,
        Reason.RESUMED,
        ("proof", "PersistentVolumeClaim", "Job"),
    ),
    "what the models do not accept any more goes on while it runs": Case(
        seen(InvalidSpec("spec.task: nonsense"), workload=a_workload(), pod=a_pod(running=True)),
        State.STARTING,
        Reason.STARTING,
        want_again=300.0,
    ),
    "what the models do not accept any more is not begun again": Case(
        seen(InvalidSpec("spec.task: nonsense"), previous=remembered(an_attempt(reason="Evicted"))),
        State.FAILED,
        Reason.INVALID_SPEC,
    ),
}


def kinds(decision):
    """What a decision does, in words."""
    words = {Create: lambda one: one.manifest["kind"], Delete: lambda one: f"delete {one.kind}"}
    return tuple("proof" if isinstance(one, ProveIdle) else words[type(one)](one) for one in decision.actions)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_decide(case: Case):
    decision = decide(case.seen)
    assert (decision.verdict.state, decision.verdict.reason) == (case.want_state, case.want_reason)
    assert kinds(decision) == case.want_done
    assert decision.requeue_after == case.want_again


def test_a_message_names_the_missing_object_its_field_and_the_way_out():
    message = decide(seen(missing=(CLAIM,))).verdict.message
    assert "spec.dataset.source.claim.name" in message
    assert "'samples'" in message
    assert "create it" in message


@pytest.mark.parametrize(("keys", "want"), [(("a", "b"), "it has: a, b"), ((), "it is empty")])
def test_a_missing_key_is_told_with_the_keys_that_are_there(keys, want):
    message = decide(seen(missing=(Missing(ROWS, keys),))).verdict.message
    assert "ConfigMap 'rows' has no key 'rows.jsonl'" in message
    assert want in message


def test_a_job_that_cannot_run_here_still_shows_its_plan():
    decision = decide(seen(a_job(image="registry.example/evil:1")))
    assert "spec.image" in decision.verdict.message
    assert decision.plan.accelerator == "cpu"


def test_an_ended_job_is_never_touched_again():
    done = status_of(seen(workload=a_workload(**COMPLETE), pod=ended(0, report=a_report())))
    for snapshot in (seen(previous=done), seen(previous=done, workload=a_workload(**FAILED))):
        decision = decide(snapshot)
        assert decision.verdict.state is State.FINISHED_BEFORE
        assert decision.actions == ()


def test_a_plan_lost_in_a_crash_is_made_again_and_a_remembered_one_is_not():
    running = seen(workload=a_workload(), pod=a_pod(running=True))
    assert decide(running).plan is not None
    assert decide(dataclasses.replace(running, previous=status_of(running))).plan is None


def test_a_running_job_that_could_no_longer_be_planned_keeps_running():
    running = seen(a_job(model={"name": "unheard-of"}), workload=a_workload(), pod=a_pod(running=True))
    decision = decide(running)
    assert decision.verdict.state is State.STARTING
    assert decision.plan is None


def test_the_same_snapshot_always_gives_the_same_decision():
    assert decide(seen()) == decide(seen())
