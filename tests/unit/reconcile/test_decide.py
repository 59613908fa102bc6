"""What is done in which situation. Each case is a sentence."""

import dataclasses
import typing

import pytest
from builders import NOW, a_failure, a_job, a_pod, a_report, a_workload, at_step, ended, seen, status_of
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.manifests.volumes import Required
from finetune_operator.reconcile.actions import State
from finetune_operator.reconcile.decide import LAST_WORD_GRACE, decide
from finetune_operator.reconcile.snapshot import InvalidSpec, Missing, Snapshot
from finetune_trainer.contract import ExitCode, FailureReason, Outcome, TrainerPhase

COMPLETE = {"complete": True, "finished_at": NOW - 1}
FAILED = {"failed_reason": "BackoffLimitExceeded", "finished_at": NOW - 1}
LONG_AGO = NOW - LAST_WORD_GRACE - 1
CLAIM = Missing(Required("PersistentVolumeClaim", "samples", "spec.dataset.source.claim.name"))
ROWS = Required("ConfigMap", "rows", "spec.dataset.source.configMap", "rows.jsonl")


class Case(typing.NamedTuple):
    seen: Snapshot
    want_state: State
    want_reason: Reason
    want_created: tuple[str, ...] = ()
    want_again: float | None = None


CASES = {
    "a new job is planned and its objects are created, the Job last": Case(
        seen(), State.CREATING, Reason.CREATED, ("PersistentVolumeClaim", "ConfigMap", "Job")
    ),
    "a job on ephemeral storage makes no claim": Case(
        seen(a_job(checkpoints={"storage": {"ephemeral": {}}})), State.CREATING, Reason.CREATED, ("ConfigMap", "Job")
    ),
    "a job on a claim of the user's makes none of its own": Case(
        seen(a_job(checkpoints={"storage": {"claim": {"name": "mine"}}})),
        State.CREATING,
        Reason.CREATED,
        ("ConfigMap", "Job"),
    ),
    "a job that cannot be planned is refused": Case(
        seen(a_job(model={"name": "unheard-of"})), State.REFUSED, Reason.UNKNOWN_MODEL
    ),
    "a job that can be planned but not run yet is refused": Case(
        seen(a_job(hardware={"accelerator": "nvidia-l4"})), State.REFUSED, Reason.UNSUPPORTED
    ),
    "a job with an image that is not allowed is refused": Case(
        seen(a_job(image="registry.example/evil:1")), State.REFUSED, Reason.UNSUPPORTED
    ),
    "a job that cannot run yet is refused before what it needs is looked for": Case(
        seen(a_job(suspend=True), missing=(CLAIM,)), State.REFUSED, Reason.UNSUPPORTED
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
    "a Job without a pod is pending": Case(seen(workload=a_workload()), State.PENDING, Reason.POD_PENDING),
    "a pod that waits is pending": Case(seen(workload=a_workload(), pod=a_pod()), State.PENDING, Reason.POD_PENDING),
    "a running pod that has not spoken is starting": Case(
        seen(workload=a_workload(), pod=a_pod(running=True)), State.STARTING, Reason.STARTING
    ),
    "a trainer that checks the data is starting": Case(
        seen(
            workload=a_workload(),
            pod=a_pod(running=True),
            progress=at_step(0, phase=TrainerPhase.VALIDATING_DATA),
        ),
        State.STARTING,
        Reason.STARTING,
    ),
    "a trainer that trains is training": Case(
        seen(workload=a_workload(), pod=a_pod(running=True), progress=at_step(7)), State.TRAINING, Reason.TRAINING
    ),
    "a trainer that exports is still at work": Case(
        seen(workload=a_workload(), pod=a_pod(running=True), progress=at_step(100, phase=TrainerPhase.EXPORTING)),
        State.TRAINING,
        Reason.TRAINING,
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
    "a failed Job has failed for the trainer's reason": Case(
        seen(workload=a_workload(**FAILED), pod=ended(10, report=a_failure(FailureReason.DATA_INVALID))),
        State.FAILED,
        Reason.DATA_INVALID,
    ),
    "a failed Job whose pod's end is not yet known is looked at again": Case(
        seen(workload=a_workload(**FAILED)), State.PENDING, Reason.POD_PENDING, want_again=1.0
    ),
    "a failed Job whose pod is gone has failed for an unknown reason": Case(
        seen(workload=a_workload(failed_reason="BackoffLimitExceeded", finished_at=LONG_AGO)),
        State.FAILED,
        Reason.UNKNOWN,
    ),
    "a trainer that was stopped from outside has been interrupted": Case(
        seen(
            workload=a_workload(**FAILED),
            pod=ended(ExitCode.SUSPENDED, report=a_report(outcome=Outcome.SUSPENDED, checkpoint_step=40)),
        ),
        State.FAILED,
        Reason.INTERRUPTED,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_decide(case: Case):
    decision = decide(case.seen)
    assert (decision.verdict.state, decision.verdict.reason) == (case.want_state, case.want_reason)
    assert tuple(action.manifest["kind"] for action in decision.actions) == case.want_created
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


def test_a_job_that_cannot_run_yet_still_shows_its_plan():
    decision = decide(seen(a_job(hardware={"accelerator": "nvidia-l4"})))
    assert "set accelerator: cpu" in decision.verdict.message
    assert decision.plan.accelerator == "nvidia-l4"


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
