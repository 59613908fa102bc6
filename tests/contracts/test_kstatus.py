"""What Flux and Helm make of a job's status: kstatus' rules for kinds that it does not know, on ours.

A pass writes what the status has of a job; a rule of kstatus reads it. `Current` is there, `Failed` will not get there.
"""

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
from finetune_operator.manifests.volumes import Required
from finetune_operator.reconcile.actions import Refused, Result
from finetune_operator.reconcile.snapshot import Missing
from finetune_trainer.contract import FailureReason

GENERATION = 7


def kstatus(generation, status, *, deleting=False):
    """Cli-utils' `Compute` for a custom kind, in its order."""
    if deleting:
        return "Terminating"
    if status.observed_generation is not None and status.observed_generation != generation:
        return "InProgress"
    for one in status.conditions:
        if one.type == "Reconciling" and one.status == "True":
            return "InProgress"
        if one.type == "Stalled" and one.status == "True":
            return "Failed"
    for one in status.conditions:
        if one.type == "Ready":
            return "Current" if one.status == "True" else "InProgress"
    return "Current"


RUNNING = {"workload": a_workload(), "pod": a_pod(running=True), "progress": at_step(3)}
DONE = {"workload": a_workload(complete=True, finished_at=NOW - 1), "pod": ended(0, report=a_report())}
FAILED = {
    "workload": a_workload(failed_reason="BackoffLimitExceeded", finished_at=NOW - 1),
    "pod": ended(10, report=a_failure(FailureReason.DATA_INVALID)),
}
SLEEPS = a_job(suspend=True)
GONE = a_job(cancel=True)
STOPPED = remembered(an_attempt(reason="Suspended"))
HELD = {"workload": a_workload(suspended=True, started_at=None)}
LACKING = {"missing": (Missing(Required("ConfigMap", "rows", "spec.dataset.source.configMap")),)}

CASES = {
    "a new job is on its way": (seen(), "InProgress"),
    "a job that waits for an object is on its way": (seen(**LACKING), "InProgress"),
    "a job that waits for its place in a queue is on its way": (seen(a_job(queueName="q"), **HELD), "InProgress"),
    "a job whose pod waits is on its way": (seen(workload=a_workload(), pod=a_pod()), "InProgress"),
    "a job that trains is there": (seen(**RUNNING), "Current"),
    "a job between two attempts is on its way": (seen(previous=remembered(an_attempt(reason="Evicted"))), "InProgress"),
    "a job that saves before it rests is on its way": (seen(SLEEPS, **RUNNING), "InProgress"),
    "a job that rests is there": (seen(SLEEPS, previous=STOPPED), "Current"),
    "a job that succeeded is there": (seen(**DONE), "Current"),
    "a job that failed does not get there": (seen(**FAILED), "Failed"),
    "a job that was refused does not get there": (seen(a_job(model={"name": "unheard-of"})), "Failed"),
    "a job that is being cancelled is on its way": (seen(GONE, **RUNNING), "InProgress"),
    "a job that was cancelled does not get there": (seen(GONE), "Failed"),
}


def of_generation(snapshot, number):
    return dataclasses.replace(snapshot, meta=dataclasses.replace(snapshot.meta, generation=number))


@pytest.mark.parametrize(("snapshot", "want"), CASES.values(), ids=CASES)
def test_kstatus(snapshot, want):
    assert kstatus(GENERATION, status_of(of_generation(snapshot, GENERATION))) == want


def test_a_job_whose_objects_are_refused_is_on_its_way():
    refused = Result(refused=Refused("Job", "reviews-1", 403, "exceeded quota"))
    assert kstatus(1, status_of(seen(), refused)) == "InProgress"


def test_a_spec_that_was_not_looked_at_yet_is_on_its_way():
    assert kstatus(2, status_of(seen(**RUNNING))) == "InProgress"


ENDS = {name: CASES[name] for name in CASES if CASES[name][1] == "Failed" or "succeeded" in name}


@pytest.mark.parametrize(("snapshot", "want"), ENDS.values(), ids=ENDS)
def test_an_end_stays_what_it_is_when_the_spec_is_changed_after_it(snapshot, want):
    end = status_of(snapshot)
    later = status_of(of_generation(dataclasses.replace(snapshot, previous=end), GENERATION))
    assert kstatus(GENERATION, later) == want
    assert [one.observed_generation for one in later.conditions] == [GENERATION] * len(end.conditions)
    taken_back = tuple(one.model_copy(update={"observed_generation": 1}) for one in later.conditions)
    assert later.model_copy(update={"observed_generation": 1, "conditions": taken_back}) == end


@pytest.mark.parametrize("snapshot", [one for one, _want in ENDS.values()], ids=ENDS)
def test_an_end_is_not_written_again_for_nothing(snapshot):
    end = status_of(snapshot)
    assert status_of(dataclasses.replace(snapshot, previous=end)) is end
