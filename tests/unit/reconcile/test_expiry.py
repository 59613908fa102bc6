"""What becomes of a job that has ended."""

from dataclasses import replace

import pytest
from builders import KEY, NOW, a_job, a_workload, remembered, seen
from finetune_operator.api import timestamps
from finetune_operator.reconcile.actions import Delete, Propagation, State
from finetune_operator.reconcile.expiry import after_end
from finetune_operator.reconcile.snapshot import InvalidSpec

ENDED = remembered(completion_time=timestamps.write(NOW - 60))
THE_JOB = Delete(kind="FineTuneJob", namespace="team", name="reviews", uid=KEY.uid, propagation=Propagation.BACKGROUND)
A_CHILD = Delete(kind="Job", namespace="team", name="reviews-abcde-1", uid="job-1", propagation=Propagation.BACKGROUND)
CHILDREN = {"ttlSecondsAfterFinished": 0, "ttlPolicy": "children"}
JOBS = (a_workload(finished_at=NOW), a_workload(attempt=2, deleting=True))

CASES = {
    "a job without a time to live stays": (a_job(), (), None),
    "a job stays until its time to live is over": (a_job(ttlSecondsAfterFinished=90), (), 30),
    "a job goes when its time to live is over": (a_job(ttlSecondsAfterFinished=60), (THE_JOB,), None),
    "a job may go at once": (a_job(ttlSecondsAfterFinished=0), (THE_JOB,), None),
    "only what it left behind may go": (a_job(**CHILDREN), (A_CHILD,), None),
    "a spec of another version says nothing about it": (InvalidSpec("?"), (), None),
}


@pytest.mark.parametrize(("spec", "want_actions", "want_again"), CASES.values(), ids=CASES)
def test_after_end(spec, want_actions, want_again):
    decision = after_end(seen(spec, previous=ENDED, workloads=JOBS))
    assert decision.verdict.state is State.FINISHED_BEFORE
    assert (decision.actions, decision.requeue_after) == (want_actions, want_again)


def test_a_jobset_that_it_left_behind_goes_as_one():
    left = (a_workload(finished_at=NOW, kind="JobSet"),)
    decision = after_end(seen(a_job(**CHILDREN), previous=ENDED, workloads=left))
    assert decision.actions == (replace(A_CHILD, kind="JobSet"),)


def test_a_job_whose_end_has_no_moment_stays():
    assert after_end(seen(a_job(ttlSecondsAfterFinished=0), previous=remembered())).actions == ()


def test_what_appears_after_the_end_is_ended():
    """A former leader's last request may arrive when its successor has cancelled the job."""
    late = a_workload()
    decision = after_end(seen(a_job(ttlSecondsAfterFinished=90), previous=ENDED, workloads=(*JOBS, late)))
    assert decision.actions == (replace(A_CHILD, propagation=Propagation.FOREGROUND),)
    assert (decision.verdict.state, decision.requeue_after) == (State.FINISHED_BEFORE, 30)
