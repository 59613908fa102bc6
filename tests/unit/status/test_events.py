"""What is told in Events."""

import dataclasses

from builders import NOW, a_failure, a_job, a_pod, a_report, a_workload, at_step, ended, seen, status_of
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.manifests.volumes import Required
from finetune_operator.reconcile.snapshot import Missing
from finetune_operator.status.events import events, of_pods
from finetune_trainer.contract import FailureReason

NOTHING = FineTuneJobStatus()
RUNNING = seen(workload=a_workload(), pod=a_pod(running=True), progress=at_step(3))


def told(old, new):
    return [(event.reason, event.warning) for event in events(old, new)]


def test_a_new_job_tells_once_that_it_is_planned_and_begun():
    assert told(NOTHING, status_of(seen())) == [("Planned", False)]


def test_a_job_that_had_to_wait_tells_that_it_is_begun():
    waiting = status_of(seen(missing=(Missing(Required("PersistentVolumeClaim", "x", "spec.y")),)))
    assert told(waiting, status_of(seen(previous=waiting))) == [("Created", False)]


def test_progress_alone_is_no_event():
    first = status_of(RUNNING)
    later = status_of(seen(previous=first, workload=a_workload(), pod=a_pod(running=True), progress=at_step(4)))
    assert told(first, later) == []


def test_a_pod_on_its_ordinary_way_is_no_event():
    created = status_of(seen())
    assert told(created, status_of(seen(previous=created, workload=a_workload()))) == []


def test_a_missing_claim_is_a_warning():
    waiting = status_of(seen(missing=(Missing(Required("PersistentVolumeClaim", "x", "spec.y")),)))
    assert told(NOTHING, waiting) == [("Planned", False), ("ClaimNotFound", True)]


def test_a_failure_is_a_warning_with_its_reason():
    workload = a_workload(failed_reason="BackoffLimitExceeded", finished_at=NOW - 1)
    failed = status_of(seen(workload=workload, pod=ended(10, report=a_failure(FailureReason.DATA_INVALID))))
    assert told(status_of(RUNNING), failed) == [("DataInvalid", True)]


def test_a_refusal_is_a_warning():
    assert told(NOTHING, status_of(seen(a_job(model={"name": "unheard-of"})))) == [("UnknownModel", True)]


def test_a_success_tells_what_was_gained():
    done = seen(workload=a_workload(complete=True, finished_at=NOW - 1), pod=ended(0, report=a_report()))
    (event,) = events(status_of(RUNNING), status_of(done))
    assert event.message == "accuracy 0.53 -> 0.84, loss 0.7 -> 0.4"
    assert not event.warning


def test_a_success_without_numbers_still_tells():
    bare = seen(workload=a_workload(complete=True, finished_at=NOW - 99))
    (event,) = events(status_of(RUNNING), status_of(bare))
    assert "report is lost" in event.message
    same = seen(
        workload=a_workload(complete=True, finished_at=NOW - 1), pod=ended(0, report=a_report(metrics_before={}))
    )
    (event,) = events(status_of(RUNNING), status_of(same))
    assert event.message == "accuracy 0.53 -> 0.84"


BROKE = a_workload(failed_reason="BackoffLimitExceeded", finished_at=NOW - 1)


def test_an_attempt_that_is_tried_again_at_once_tells_why_it_ended_of_the_job_and_of_its_pod():
    before = status_of(RUNNING)
    moved = seen(previous=before, workload=BROKE, pod=ended(1, disruption="EvictionByEvictionAPI"))
    (event,) = events(before, status_of(moved))
    assert (event.reason, event.warning) == ("Evicted", True)
    ((pod, of_pod),) = of_pods(moved, status_of(moved))
    assert (pod.attempt, of_pod.reason, of_pod.warning) == (1, "Evicted", True)


def test_of_several_pods_the_one_that_failed_first_is_told_of():
    first, other = ended(1, name="a", uid="a", rank=1), ended(1, name="b", uid="b", rank=0)
    other = dataclasses.replace(other, ending=dataclasses.replace(other.ending, finished_at=NOW))
    broken = seen(previous=status_of(RUNNING), workload=BROKE, pods=(other, first))
    ((pod, _event),) = of_pods(broken, status_of(broken))
    assert pod.name == "a"


def test_an_attempt_that_ended_as_it_should_tells_nothing_of_its_pod():
    done = seen(workload=a_workload(complete=True, finished_at=NOW - 1), pod=ended(0, report=a_report()))
    done = dataclasses.replace(done, previous=status_of(RUNNING))
    assert of_pods(done, status_of(done)) == ()


def test_a_failure_is_told_of_its_pod_too():
    workload = a_workload(failed_reason="BackoffLimitExceeded", finished_at=NOW - 1)
    pod = ended(10, report=a_failure(FailureReason.DATA_INVALID))
    failed = seen(previous=status_of(RUNNING), workload=workload, pod=pod)
    ((about, event),) = of_pods(failed, status_of(failed))
    assert (about, event.reason) == (pod, "DataInvalid")


def test_a_pause_before_a_retry_is_told_once_with_its_cause():
    before = status_of(RUNNING)
    pauses = status_of(seen(previous=before, workload=BROKE, pod=ended(1)))
    assert told(before, pauses) == [("TrainerError", True)]
    again = status_of(seen(previous=pauses, workload=BROKE, pod=ended(1), now=NOW + 60))
    assert again.attempts[-1].number == 2
    assert told(pauses, again) == []


def test_a_retry_without_a_pause_is_told_too():
    before = status_of(RUNNING)
    again = status_of(seen(previous=before, workload=BROKE, pod=ended(1, disruption="EvictionByEvictionAPI")))
    (event,) = events(before, again)
    assert (event.reason, "Evicted" in event.message) == ("Evicted", True)


def test_a_wish_that_is_followed_is_no_warning():
    asked = a_job(suspend=True)
    before = status_of(RUNNING)
    stopping = status_of(seen(asked, previous=before, workload=a_workload(), pod=a_pod(running=True)))
    rests = status_of(seen(asked, previous=stopping, listed=True))
    resumes = status_of(seen(previous=rests))
    assert told(before, stopping) == [("Suspending", False)]
    assert told(stopping, rests) == [("Suspended", False)]
    assert told(rests, resumes) == [("Resumed", False)]
