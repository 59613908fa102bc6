"""How long a job may be active, and its pods may take to start."""

import pytest
from builders import NOW, a_job, a_workload, an_attempt, seen
from finetune_operator.planning.profiles import Profiles, TrainerProfile
from finetune_operator.reconcile.deadline import seconds_left, seconds_to_start

SPEC = a_job(activeDeadlineSeconds=100)
ENDED = an_attempt(reason="Suspended", active_seconds=40)

CASES = {
    "a job that never ran has all of its time": (seen(SPEC), (), 100),
    "an attempt that has ended counts with the time it was active": (seen(SPEC), (ENDED,), 60),
    "time between attempts does not count": (seen(SPEC, now=NOW + 1000), (ENDED,), 60),
    "the running attempt counts since its Job is active": (seen(SPEC, workload=a_workload()), (an_attempt(),), 70),
    "all attempts count together": (
        seen(SPEC, workloads=(a_workload(attempt=2),)),
        (ENDED, an_attempt(2)),
        30,
    ),
    "a Job in a queue does not count": (
        seen(SPEC, workload=a_workload(suspended=True, started_at=None)),
        (an_attempt(active_seconds=10),),
        90,
    ),
    "a Job that has not told when it started does not count yet": (
        seen(SPEC, workload=a_workload(started_at=None)),
        (an_attempt(),),
        100,
    ),
    "a Job that is gone does not count on": (seen(SPEC), (an_attempt(),), 100),
    "a Job that has ended does not count on": (
        seen(SPEC, workload=a_workload(finished_at=NOW - 10)),
        (an_attempt(),),
        80,
    ),
    "a job may be over its deadline": (seen(SPEC, workload=a_workload(), now=NOW + 100), (an_attempt(),), -30),
}


@pytest.mark.parametrize(("snapshot", "attempts", "want"), CASES.values(), ids=CASES)
def test_seconds_left(snapshot, attempts, want):
    assert seconds_left(snapshot, SPEC, attempts) == want


def test_a_job_without_a_deadline_has_time_for_ever():
    assert seconds_left(seen(), a_job(), (ENDED,)) is None


def test_pods_may_take_as_long_to_start_as_the_administrator_says():
    hasty = Profiles(trainer=TrainerProfile(start_deadline_seconds=60))
    assert seconds_to_start(seen(profiles=hasty), a_workload()) == 30
    assert seconds_to_start(seen(profiles=hasty), a_workload(started_at=NOW - 10)) == 50


def test_pods_may_take_for_ever_where_the_administrator_says_so():
    patient = Profiles(trainer=TrainerProfile(start_deadline_seconds=0))
    assert seconds_to_start(seen(profiles=patient), a_workload()) is None
