"""What is known of the attempts at a job."""

import dataclasses

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
from finetune_operator.api.v1alpha1.status import CheckpointStatus, Condition
from finetune_operator.reconcile.attempts.history import (
    LAST_WORD_GRACE,
    REMEMBERED,
    history,
    last_report,
    reason_of,
    since_advance,
)
from finetune_operator.reconcile.deadline import seconds_left
from finetune_trainer.contract import ExitCode, FailureReason, Outcome

FAILED = a_workload(failed_reason="BackoffLimitExceeded", finished_at=NOW - 1)
SAVED = ended(ExitCode.SUSPENDED, report=a_report(outcome=Outcome.SUSPENDED, checkpoint_step=40, resumed_from_step=20))
GONE = dataclasses.replace(SAVED, gone_at=0.0)
UNDER_WAY = remembered(an_attempt())
LONG_AGO = NOW - LAST_WORD_GRACE - 1


def test_a_job_that_never_ran_has_no_history():
    assert history(seen()) == ()


def test_a_job_that_status_does_not_know_is_taken_in_with_what_it_says_of_its_plan():
    first, second = history(
        seen(
            previous=remembered(an_attempt(reason="HostOutOfMemory")),
            workloads=(FAILED, a_workload(attempt=2, rung=1, memory_raises=2, change="microBatchSize 4")),
        )
    )
    assert first.end_time is not None
    assert (second.number, second.job, second.end_time) == (2, "reviews-abcde-2", None)
    assert (second.rung, second.memory_raises, second.change) == (1, 2, "microBatchSize 4")


def test_an_attempt_under_way_tells_since_when_and_from_which_step():
    (one,) = history(seen(workload=a_workload(), pod=a_pod(running=True), progress=at_step(42, resumed_from_step=40)))
    assert one.start_time == timestamps.write(NOW - 20)
    assert (one.resumed_from_step, one.end_time, one.reason) == (40, None, None)


def test_a_word_about_another_attempt_is_not_taken_for_this_one():
    (one,) = history(seen(workload=a_workload(), pod=a_pod(running=True), progress=at_step(42, attempt=2)))
    assert one.resumed_from_step is None


def test_an_end_that_is_remembered_never_changes():
    before = remembered(an_attempt(reason="Evicted"))
    again = seen(previous=before, workload=a_workload(complete=True, finished_at=NOW), pod=ended(0, report=a_report()))
    assert history(again) == before.attempts


def test_a_failed_attempt_tells_why_when_and_how_long_it_was_active():
    (one,) = history(seen(workload=FAILED, pod=ended(10, report=a_failure(FailureReason.DATA_INVALID, "row 7"))))
    assert (one.reason, one.message, one.end_time) == ("DataInvalid", "row 7", timestamps.write(NOW - 1))
    assert one.active_seconds == 29


def test_the_end_of_a_pod_counts_for_its_attempt_before_that_of_its_job():
    (one,) = history(
        seen(workload=dataclasses.replace(FAILED, finished_at=NOW), pod=ended(1, report=a_failure("TrainerError")))
    )
    assert one.end_time == timestamps.write(NOW - 1)


ENDS = {
    "a Job ends before its pod has told why": (seen(workload=FAILED, pod=a_pod(running=True)), None),
    "a Job ends and no pod of it is known yet": (seen(workload=FAILED), None),
    "a Job ended long ago and nobody told why": (
        seen(workload=dataclasses.replace(FAILED, finished_at=LONG_AGO)),
        Reason.INTERRUPTED,
    ),
    "a pod of a failed Job is gone without a word, a moment ago": (
        seen(workload=FAILED, pod=a_pod(gone_at=NOW - 1)),
        None,
    ),
    "a pod ends by its phase alone": (
        seen(workload=FAILED, pod=a_pod(phase="Failed", reason="Evicted", message="disk pressure")),
        Reason.EVICTED,
    ),
    "a Job is not known, and nobody looked": (seen(previous=UNDER_WAY), None),
    "a Job is gone, and its pod still ends": (seen(previous=UNDER_WAY, listed=True, pod=a_pod(running=True)), None),
    "a Job is gone, and its pod has ended but exists": (
        seen(previous=UNDER_WAY, listed=True, pod=SAVED),
        Reason.INTERRUPTED,
    ),
    "a Job and its pod are gone": (seen(previous=UNDER_WAY, listed=True, pod=GONE), Reason.INTERRUPTED),
    "a Job and all its traces are gone": (seen(previous=UNDER_WAY, listed=True), Reason.INTERRUPTED),
    "a pod was found gone long ago, and its last word never came": (
        seen(previous=UNDER_WAY, listed=True, pod=a_pod(running=True, gone_at=LONG_AGO)),
        Reason.INTERRUPTED,
    ),
    "a pod was just found gone, and its last word may come": (
        seen(previous=UNDER_WAY, listed=True, pod=a_pod(running=True, gone_at=NOW - 1)),
        None,
    ),
    "a Job that is deleted had finished its work": (
        seen(previous=UNDER_WAY, listed=True, pod=ended(0, report=a_report(), gone_at=0.0)),
        Reason.SUCCEEDED,
    ),
    "a Job was deleted because it was asked to be suspended": (
        seen(previous=remembered(an_attempt(reason="Suspended", end_time=None)), listed=True, pod=GONE),
        Reason.SUSPENDED,
    ),
    "the wish to suspend was not written down before the operator died": (
        seen(a_job(suspend=True), previous=UNDER_WAY, listed=True, pod=GONE),
        Reason.SUSPENDED,
    ),
    "a trainer finished although it was asked to be suspended": (
        seen(
            previous=remembered(an_attempt(reason="Suspended", end_time=None)),
            workload=a_workload(complete=True, finished_at=NOW),
            pod=ended(0, report=a_report()),
        ),
        Reason.SUCCEEDED,
    ),
    "a rank that is not the first succeeded, and the first is unknown": (
        seen(previous=UNDER_WAY, listed=True, pod=ended(0, report=a_report(), rank=1, gone_at=0.0)),
        Reason.INTERRUPTED,
    ),
}


@pytest.mark.parametrize(("snapshot", "want"), ENDS.values(), ids=ENDS)
def test_an_attempt_has_ended_once_nothing_of_it_lives_and_its_last_word_is_known(snapshot, want):
    (one,) = history(snapshot)
    assert (reason_of(one) if one.end_time else None) is want


def test_the_step_of_a_trainer_that_was_stopped_is_remembered_with_its_end():
    (one,) = history(seen(previous=UNDER_WAY, listed=True, pod=GONE))
    assert one.resumed_from_step == 20
    assert "step 40" in one.message
    assert last_report(seen(pod=GONE)).checkpoint_step == 40
    assert last_report(seen()) is None


def test_of_a_job_that_is_gone_the_active_time_is_that_of_its_pod():
    before = remembered(an_attempt(start_time=timestamps.write(NOW - 60)))
    (one,) = history(seen(previous=before, listed=True))
    assert (one.active_seconds, one.end_time) == (60, timestamps.write(NOW))
    (one,) = history(seen(previous=UNDER_WAY, listed=True))
    assert one.active_seconds == 0


def test_a_reason_of_another_version_counts_as_unknown():
    assert reason_of(an_attempt(reason="FutureReason")) is Reason.UNKNOWN
    assert reason_of(an_attempt()) is None


QUEUED = a_job(queueName="team")
HELD = a_workload(suspended=True, started_at=None, suspended_at=NOW - 5)


def admitted(status, since):
    return Condition(
        type="Admitted",
        status=status,
        observed_generation=1,
        last_transition_time=timestamps.write(since),
        reason="Queued",
    )


def test_the_wait_for_a_queue_is_counted_when_it_is_over():
    waiting = seen(QUEUED, workload=HELD)
    assert history(waiting)[0].queued_seconds is None
    begun = seen(QUEUED, previous=status_of(waiting), workload=a_workload(started_at=NOW - 10))
    assert history(begun)[0].queued_seconds == 20
    later = dataclasses.replace(begun, previous=status_of(begun), now=NOW + 60)
    assert history(later)[0].queued_seconds == 20


def test_a_second_wait_after_an_eviction_is_added():
    before = remembered(an_attempt(queued_seconds=20), conditions=(admitted("False", NOW - 100),))
    again = seen(QUEUED, previous=before, workload=a_workload(started_at=NOW - 70))
    assert history(again)[0].queued_seconds == 50
    lost = dataclasses.replace(again, previous=remembered(an_attempt(queued_seconds=20)))
    assert history(lost)[0].queued_seconds == 20


def test_an_eviction_counts_the_time_until_then_once_and_starts_again_later():
    before = remembered(an_attempt(start_time=timestamps.write(NOW - 65)))
    evicted = seen(QUEUED, previous=before, workload=HELD, pod=dataclasses.replace(GONE, created_at=NOW - 66))
    (one,) = history(evicted)
    assert (one.active_seconds, one.start_time, one.end_time) == (60, None, None)
    (twice,) = history(dataclasses.replace(evicted, previous=remembered(one)))
    assert twice == one
    back = seen(
        QUEUED,
        previous=remembered(one),
        workload=a_workload(started_at=NOW - 2),
        pods=(dataclasses.replace(GONE, created_at=NOW - 66), a_pod(created_at=NOW - 2, name="another")),
    )
    assert history(back)[0].start_time is None
    unknown_moment = dataclasses.replace(evicted, workloads=(dataclasses.replace(HELD, suspended_at=None),))
    assert history(unknown_moment)[0].active_seconds == 65


ADMITTED_AT = {
    "its queue let it begin before its pod started": (NOW - 25, timestamps.write(NOW - 15), 20),
    "its pod never started": (NOW - 25, None, 20),
    "nobody saw that its queue let it begin before its pod started": (NOW - 10, timestamps.write(NOW - 15), 10),
    "it was not seen to wait, as the attempt before it was": (NOW - 500, None, 25),
}


@pytest.mark.parametrize(("admitted_at", "started", "want"), ADMITTED_AT.values(), ids=ADMITTED_AT)
def test_an_eviction_counts_the_time_that_the_job_was_active_as_the_deadline_does(admitted_at, started, want):
    before = remembered(an_attempt(start_time=started), conditions=(admitted("True", admitted_at),))
    (one,) = history(seen(QUEUED, previous=before, workload=HELD))
    assert (one.active_seconds, one.start_time) == (want, None)
    after = remembered(one, conditions=(admitted("False", NOW - 5),))
    assert history(seen(QUEUED, previous=after, workload=HELD)) == (one,)


def test_the_deadline_of_an_evicted_job_does_not_go_back():
    spec = QUEUED.model_copy(update={"active_deadline_seconds": 60})
    runs = seen(spec, workload=a_workload(started_at=NOW - 25), previous=remembered(an_attempt()), now=NOW - 5)
    left = seconds_left(runs, spec, history(runs))
    before = status_of(dataclasses.replace(runs, now=NOW - 25))
    evicted = seen(spec, previous=before, workload=HELD)
    assert seconds_left(evicted, spec, history(evicted)) == left == 40


def test_too_many_suspended_attempts_are_folded_into_the_ones_after_them():
    many = tuple(an_attempt(n, reason="Suspended", active_seconds=10) for n in range(1, REMEMBERED + 3))
    left = history(seen(previous=remembered(*many)))
    assert len(left) == REMEMBERED
    assert sum(one.active_seconds for one in left) == 10 * len(many)
    assert left[-1].number == REMEMBERED + 2


def test_failures_are_never_folded_nor_attempts_whose_job_is_there():
    failed = tuple(an_attempt(n, reason="TrainerError") for n in range(1, REMEMBERED + 3))
    assert len(history(seen(previous=remembered(*failed)))) == len(failed)
    first = an_attempt(1, reason="Suspended", active_seconds=10)
    with_job = seen(previous=remembered(first, *failed[1:]), workloads=(a_workload(complete=True, finished_at=NOW),))
    assert history(with_job)[0] == first


def test_attempts_that_the_cluster_broke_off_before_a_newer_checkpoint_are_folded_too():
    many = [an_attempt(n, reason="Preempted", active_seconds=10, checkpoint_step=5 * n) for n in range(1, REMEMBERED)]
    many += [an_attempt(n, reason="Evicted", active_seconds=10) for n in range(REMEMBERED, REMEMBERED + 3)]
    left = history(seen(previous=remembered(*many)))
    assert [one.number for one in left] == list(range(3, REMEMBERED + 3))
    assert sum(one.active_seconds for one in left) == 10 * len(many)
    assert since_advance(left) == since_advance(tuple(many))


def test_the_attempt_that_got_furthest_is_never_folded():
    furthest = an_attempt(1, reason="Suspended", checkpoint_step=500)
    later = [an_attempt(n, reason="Suspended", checkpoint_step=500) for n in range(2, REMEMBERED + 3)]
    left = history(seen(previous=remembered(furthest, *later)))
    assert [one.number for one in left] == [1, *range(4, REMEMBERED + 3)]


AT_40 = CheckpointStatus(step=40, resumable=True)
GONE_SILENTLY = {"previous": remembered(an_attempt(), checkpoint=AT_40), "listed": True}
CHECKPOINTS = {
    "by its last word": (seen(previous=UNDER_WAY, listed=True, pod=GONE), 40),
    "by what its trainer said before": (seen(**GONE_SILENTLY, progress=at_step(62, checkpoint_step=60)), 60),
    "by what status told before": (seen(**GONE_SILENTLY), 40),
    "by its own trainer's word, not another's": (
        seen(**GONE_SILENTLY, progress=at_step(62, checkpoint_step=60, attempt=2)),
        40,
    ),
    "not at all where its trainer began from nothing": (
        seen(previous=remembered(an_attempt(2), checkpoint=AT_40), listed=True, progress=at_step(5, attempt=2)),
        None,
    ),
    "not at all where nothing was saved": (seen(previous=UNDER_WAY, listed=True), None),
}


@pytest.mark.parametrize(("snapshot", "want"), CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_the_newest_checkpoint_is_remembered_with_the_end_of_an_attempt(snapshot, want):
    (one,) = history(snapshot)
    assert one.end_time is not None
    assert one.checkpoint_step == want


def test_what_follows_an_advance_is_what_came_after_the_latest_step_that_was_saved():
    first, saved, again, lost = (
        an_attempt(n, reason="Evicted", checkpoint_step=s) for n, s in enumerate((0, 40, 40, None), 1)
    )
    assert since_advance(()) == ()
    assert since_advance((first,)) == (first,)
    assert since_advance((first, saved)) == ()
    assert since_advance((first, saved, again, lost)) == (again, lost)


def test_of_several_pods_the_attempt_starts_with_the_first():
    pods = (a_pod(running=True, started_at=NOW - 5), a_pod(running=True, rank=1, started_at=NOW - 9))
    (one,) = history(seen(workload=a_workload(pods=2), pods=pods))
    assert one.start_time == timestamps.write(NOW - 9)


def test_time_that_was_counted_when_it_was_asked_to_end_is_not_counted_again():
    going = remembered(an_attempt(reason="Suspended", end_time=None, active_seconds=30))
    (one,) = history(seen(previous=going, listed=True, pod=GONE))
    assert (one.reason, one.active_seconds) == ("Suspended", 30)
