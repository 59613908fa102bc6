"""What is said and done about an attempt on its way."""

import typing

import pytest
from builders import KEY, NOW, a_job, a_pod, a_report, a_workload, an_attempt, at_step, ended, remembered, seen
from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.status import Condition
from finetune_operator.manifests import names
from finetune_operator.planning.profiles import Profiles, TrainerProfile
from finetune_operator.reconcile.actions import Create, State
from finetune_operator.reconcile.attempts.underway import RUNNING_RESYNC, WAITING_RESYNC, follow
from finetune_operator.reconcile.snapshot import InvalidSpec, Snapshot, Trouble
from finetune_trainer.contract import TrainerPhase

UNDER_WAY = (an_attempt(),)
RUNNING = a_pod(running=True)
JOB = a_workload()
PATIENT = Profiles(trainer=TrainerProfile(start_deadline_seconds=0))
HASTY = Profiles(trainer=TrainerProfile(start_deadline_seconds=25))


class Case(typing.NamedTuple):
    seen: Snapshot
    want_state: State
    want_reason: Reason
    want_again: float


CASES = {
    "a pod that does not exist yet": Case(seen(workload=JOB), State.CREATING, Reason.CREATED, WAITING_RESYNC),
    "a pod that waits": Case(seen(workload=JOB, pod=a_pod()), State.PENDING, Reason.POD_PENDING, WAITING_RESYNC),
    "a pod that was just made": Case(
        seen(workload=a_workload(started_at=NOW - 1), pod=a_pod()), State.PENDING, Reason.POD_PENDING, WAITING_RESYNC
    ),
    "a pod that has waited for hours is looked at now and then": Case(
        seen(workload=a_workload(started_at=NOW - 20_000), pod=a_pod(unschedulable="no node"), profiles=PATIENT),
        State.PENDING,
        Reason.UNSCHEDULABLE,
        WAITING_RESYNC,
    ),
    "a Job that has not told when it started counts from when it was made": Case(
        seen(workload=a_workload(started_at=None)), State.CREATING, Reason.CREATED, WAITING_RESYNC
    ),
    "what events tell of a pod that waits": Case(
        seen(workload=JOB, pod=a_pod(), trouble=Trouble("FailedMount", "no such claim")),
        State.PENDING,
        Reason.VOLUME,
        WAITING_RESYNC,
    ),
    "a Job that a queue holds back": Case(
        seen(a_job(queueName="team"), workload=a_workload(suspended=True, started_at=None)),
        State.QUEUED,
        Reason.QUEUED,
        WAITING_RESYNC,
    ),
    "a running pod that has not spoken": Case(
        seen(workload=JOB, pod=RUNNING), State.STARTING, Reason.STARTING, RUNNING_RESYNC
    ),
    "a trainer that checks the data": Case(
        seen(workload=JOB, pod=RUNNING, progress=at_step(0, phase=TrainerPhase.VALIDATING_DATA)),
        State.STARTING,
        Reason.STARTING,
        RUNNING_RESYNC,
    ),
    "a trainer that trains": Case(
        seen(workload=JOB, pod=RUNNING, progress=at_step(7)), State.TRAINING, Reason.TRAINING, RUNNING_RESYNC
    ),
    "a trainer that exports": Case(
        seen(workload=JOB, pod=RUNNING, progress=at_step(100, phase=TrainerPhase.EXPORTING)),
        State.TRAINING,
        Reason.TRAINING,
        RUNNING_RESYNC,
    ),
    "a Job whose last word is awaited": Case(
        seen(workload=a_workload(finished_at=NOW), pod=RUNNING, progress=at_step(100)),
        State.TRAINING,
        Reason.TRAINING,
        1.0,
    ),
    "one of two pods that has not started": Case(
        seen(workload=a_workload(pods=2), pods=(RUNNING, a_pod(rank=1, unschedulable="no node"))),
        State.PENDING,
        Reason.UNSCHEDULABLE,
        WAITING_RESYNC,
    ),
    "one of two pods that is missing": Case(
        seen(workload=a_workload(pods=2), pod=RUNNING), State.PENDING, Reason.POD_PENDING, WAITING_RESYNC
    ),
    "two pods that have started": Case(
        seen(workload=a_workload(pods=2), pods=(RUNNING, a_pod(running=True, rank=1)), progress=at_step(7)),
        State.TRAINING,
        Reason.TRAINING,
        RUNNING_RESYNC,
    ),
    "a deadline that comes before anything else": Case(
        seen(a_job(activeDeadlineSeconds=90), workload=JOB, pod=RUNNING), State.STARTING, Reason.STARTING, 60.0
    ),
    "a deadline does not run in a queue": Case(
        seen(
            a_job(queueName="team", activeDeadlineSeconds=90),
            workload=a_workload(suspended=True, started_at=None),
        ),
        State.QUEUED,
        Reason.QUEUED,
        WAITING_RESYNC,
    ),
    "a deadline that is about to come": Case(
        seen(a_job(activeDeadlineSeconds=30), workload=a_workload(started_at=NOW - 29.9), pod=RUNNING),
        State.STARTING,
        Reason.STARTING,
        1.0,
    ),
    "a start that is due soon": Case(
        seen(workload=a_workload(started_at=NOW - 23), pod=a_pod(), profiles=HASTY),
        State.PENDING,
        Reason.POD_PENDING,
        2.0,
    ),
    "what the models do not accept any more": Case(
        seen(InvalidSpec("spec.task: ?"), workload=a_workload(suspended=True)),
        State.QUEUED,
        Reason.QUEUED,
        WAITING_RESYNC,
    ),
    "a Job that was deleted by hand": Case(seen(pod=RUNNING), State.RESTARTING, Reason.INTERRUPTED, 2.0),
    "a Job that is being deleted by hand": Case(
        seen(workload=a_workload(deleting=True), pod=RUNNING), State.RESTARTING, Reason.INTERRUPTED, 2.0
    ),
    "a Job that ended and is being deleted": Case(
        seen(workload=a_workload(deleting=True, finished_at=NOW), pod=RUNNING),
        State.STARTING,
        Reason.STARTING,
        1.0,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_follow(case: Case):
    decision = follow(case.seen, UNDER_WAY)
    assert (decision.verdict.state, decision.verdict.reason) == (case.want_state, case.want_reason)
    assert decision.requeue_after == pytest.approx(case.want_again)


def told(reason: Reason, status: str = "True") -> Condition:
    moment = timestamps.write(NOW - 60)
    words = "the trainer is at work: Training"
    return Condition(
        type="Running", status=status, observed_generation=1, last_transition_time=moment, reason=reason, message=words
    )


TOLD = {
    "it trained": (1, told(Reason.TRAINING), Reason.TRAINING),
    "it started": (1, told(Reason.STARTING), Reason.STARTING),
    "it did not run": (1, told(Reason.TRAINING, "False"), Reason.STARTING),
    "one before it trained": (2, told(Reason.TRAINING), Reason.STARTING),
}


@pytest.mark.parametrize(("number", "condition", "want"), TOLD.values(), ids=TOLD)
def test_an_operator_that_has_just_started_leaves_standing_what_status_tells_of_a_trainer(number, condition, want):
    workload, pod = a_workload(attempt=number), a_pod(running=True, attempt=number)
    before = remembered(an_attempt(), conditions=(condition,))
    decision = follow(seen(workload=workload, pod=pod, previous=before), (an_attempt(number=number),))
    assert decision.verdict.reason is want
    assert (decision.verdict.message == condition.message) == (want is Reason.TRAINING)


def test_an_attempt_that_was_being_suspended_ends_although_that_was_taken_back():
    going = an_attempt(reason="Suspended", end_time=None)
    decision = follow(seen(workload=a_workload(deleting=True), pod=RUNNING), (going,))
    assert decision.verdict.state is State.SUSPENDING
    assert decision.actions == ()


def test_an_attempt_that_does_not_start_in_time_is_ended_for_the_reason_that_it_is_stuck_on():
    stuck = a_pod(waiting_reason="ImagePullBackOff", waiting_message="no such image")
    late = seen(workload=JOB, pod=stuck, profiles=HASTY)
    decision = follow(late, UNDER_WAY)
    assert [action.kind for action in decision.actions] == ["Job"]
    (one,) = decision.attempts
    assert (one.reason, one.message) == ("ImagePull", "did not start within 25 s: no such image")


def test_one_missing_rank_ends_all_others_so_that_no_device_is_held_for_ever():
    late = seen(workload=a_workload(pods=2), pod=RUNNING, profiles=HASTY)
    decision = follow(late, UNDER_WAY)
    assert decision.verdict.state is State.STOPPING
    assert [action.kind for action in decision.actions] == ["Job"]


def test_time_in_a_queue_is_no_late_start():
    held = seen(workload=a_workload(suspended=True, started_at=None), profiles=HASTY)
    assert follow(held, UNDER_WAY).actions == ()


LOST = f'persistentvolumeclaim "{names.work_claim(KEY)}" not found'


def test_the_jobs_own_claim_is_made_again_if_it_was_deleted_before_the_pod_came():
    decision = follow(seen(workload=JOB, pod=a_pod(unschedulable=LOST)), UNDER_WAY)
    (action,) = decision.actions
    assert isinstance(action, Create)
    assert action.manifest["metadata"]["name"] == names.work_claim(KEY)


def test_a_claim_of_the_users_is_not_made():
    mine = a_job(checkpoints={"storage": {"claim": {"name": "mine"}}})
    assert follow(seen(mine, workload=JOB, pod=a_pod(unschedulable=LOST)), UNDER_WAY).actions == ()


def test_a_trainer_that_has_just_ended_is_heard_before_its_job_ends():
    done = ended(0, report=a_report(step=100))
    assert follow(seen(workload=JOB, pod=done), UNDER_WAY).verdict.report.step == 100
