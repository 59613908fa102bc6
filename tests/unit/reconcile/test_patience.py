"""When a job is looked at again that waits for somebody."""

import pytest
from builders import NOW, a_job, remembered, seen, status_of
from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1.status import Condition
from finetune_operator.manifests.volumes import Required
from finetune_operator.reconcile.decide import decide
from finetune_operator.reconcile.patience import look_again
from finetune_operator.reconcile.snapshot import Missing


def waiting(seconds):
    condition = Condition(
        type="Reconciling",
        status="True",
        observed_generation=1,
        last_transition_time=timestamps.write(NOW - seconds),
        reason="ClaimNotFound",
    )
    return seen(previous=remembered(conditions=(condition,)))


CASES = {
    "a job that has just begun to wait": (0, 5.0),
    "a job that has waited for some seconds": (19, 5.0),
    "a job that has waited for minutes": (400, 100.0),
    "a job that has waited for a day": (86400, 300.0),
    "a job whose wait began in the future, by a clock that was put back since": (-3600, 5.0),
}


@pytest.mark.parametrize(("seconds", "want"), CASES.values(), ids=CASES)
def test_look_again(seconds, want):
    assert look_again(waiting(seconds)) == want


def test_what_is_a_matter_of_seconds_is_looked_at_sooner_at_first():
    assert look_again(waiting(0), soonest=2.0) == 2.0
    assert look_again(waiting(40), soonest=2.0) == 10.0


def test_a_job_that_was_never_seen_before_waits_as_one_that_has_just_begun_to():
    assert look_again(seen()) == 5.0


def test_a_job_that_waits_for_an_object_is_looked_at_less_and_less_often():
    rows = (Missing(Required("ConfigMap", "rows", "spec.dataset.source.configMap")),)
    first = status_of(seen(a_job(), missing=rows))
    assert decide(seen(a_job(), missing=rows)).requeue_after == 5.0
    assert decide(seen(a_job(), missing=rows, previous=first, now=NOW + 100)).requeue_after == 25.0
