"""How what runs is brought to an end."""

from dataclasses import replace

import pytest
from builders import KEY, NOW, a_pod, a_report, a_workload, an_attempt, ended, seen
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.reconcile.actions import Delete, Propagation, State
from finetune_operator.reconcile.attempts.stopping import deletions, stop, under_way, vanish
from finetune_trainer.contract import ExitCode, Outcome

THE_JOB = Delete(kind="Job", namespace=KEY.namespace, name="reviews-abcde-1", uid="job-1")
THE_POD = Delete(kind="Pod", namespace=KEY.namespace, name="reviews-abcde-1-0", uid="pod-1-0")
RUNNING = a_pod(running=True)

CASES = {
    "a Job that is active": (seen(workload=a_workload(), pod=RUNNING), (THE_JOB,)),
    "a Job that a queue holds back": (seen(workload=a_workload(suspended=True)), (THE_JOB,)),
    "a JobSet": (seen(workload=a_workload(kind="JobSet"), pod=RUNNING), (replace(THE_JOB, kind="JobSet"),)),
    "a Job that is going already": (seen(workload=a_workload(deleting=True), pod=RUNNING), ()),
    "a Job that has ended by itself": (seen(workload=a_workload(finished_at=NOW), pod=RUNNING), ()),
    "a pod whose Job is gone": (seen(pod=RUNNING), (THE_POD,)),
    "a pod whose Job is gone and that is going too": (seen(pod=a_pod(running=True, deleting=True)), ()),
    "a pod that has ended": (seen(pod=ended(0)), ()),
    "a pod that is gone": (seen(pod=a_pod(running=True, gone_at=0.0)), ()),
    "a pod of another attempt": (seen(pod=a_pod(running=True, attempt=2)), ()),
}


@pytest.mark.parametrize(("snapshot", "want"), CASES.values(), ids=CASES)
def test_only_what_runs_and_is_not_going_is_deleted(snapshot, want):
    assert deletions(snapshot, 1) == want


def test_pods_go_before_their_job_so_that_nothing_lives_once_it_is_gone():
    assert THE_JOB.propagation is Propagation.FOREGROUND


def test_why_an_attempt_is_ended_is_remembered():
    decision = stop(seen(workload=a_workload()), (an_attempt(),), Reason.SUSPENDED)
    (one,) = decision.attempts
    assert (one.reason, one.end_time) == ("Suspended", None)
    assert (decision.verdict.state, decision.verdict.reason) == (State.SUSPENDING, Reason.SUSPENDING)


def test_a_second_wish_does_not_change_why_it_is_ended():
    going = an_attempt(reason="Suspended", end_time=None)
    decision = stop(seen(workload=a_workload(deleting=True)), (going,), Reason.CANCELLED)
    assert decision.attempts == (going,)
    assert decision.verdict.reason is Reason.CANCELLING


def test_a_reason_with_words_of_its_own_is_told_with_them():
    decision = stop(seen(workload=a_workload()), (an_attempt(),), Reason.IMAGE_PULL, "did not start")
    assert (decision.verdict.state, decision.verdict.message) == (State.STOPPING, "did not start")
    assert decision.attempts[0].message == "did not start"


def test_the_step_that_was_saved_is_known_as_soon_as_the_trainer_tells():
    saved = ended(ExitCode.SUSPENDED, report=a_report(outcome=Outcome.SUSPENDED, checkpoint_step=40))
    decision = stop(seen(workload=a_workload(deleting=True), pod=saved), (an_attempt(),), Reason.SUSPENDED)
    assert decision.verdict.report.checkpoint_step == 40


def test_an_attempt_whose_job_was_deleted_by_hand_ends_with_its_pods():
    decision = vanish(seen(pod=RUNNING), (an_attempt(),))
    assert decision.actions == (THE_POD,)
    assert (decision.verdict.state, decision.verdict.reason) == (State.RESTARTING, Reason.INTERRUPTED)


def test_an_attempt_is_under_way_until_it_has_ended():
    assert not under_way(())
    assert under_way((an_attempt(),))
    assert not under_way((an_attempt(), an_attempt(2, reason="Evicted")))


def test_the_time_that_it_was_active_is_counted_when_it_is_asked_to_end_and_not_again():
    running = seen(workload=a_workload(), pod=RUNNING)
    (once,) = stop(running, (an_attempt(active_seconds=10),), Reason.SUSPENDED).attempts
    assert once.active_seconds == 40
    (twice,) = stop(seen(workload=a_workload(deleting=True), now=NOW + 5), (once,), Reason.SUSPENDED).attempts
    assert twice.active_seconds == 40
