"""What a user reads at each stage of a job."""

import dataclasses

import pytest
from builders import (
    KEY,
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
from finetune_operator.api.v1alpha1.reasons import Phase
from finetune_operator.manifests import names
from finetune_operator.manifests.volumes import Required
from finetune_operator.reconcile.actions import Refused, Result
from finetune_operator.reconcile.snapshot import Missing, Trouble
from finetune_trainer.contract import Artifact, ExitCode, FailureReason, Outcome

RUNNING = {"workload": a_workload(), "pod": a_pod(running=True)}
DONE = {"workload": a_workload(complete=True, finished_at=NOW - 1), "pod": ended(0, report=a_report())}
BROKE = {
    "workload": a_workload(failed_reason="BackoffLimitExceeded", finished_at=NOW - 1),
    "pod": ended(10, report=a_failure(FailureReason.DATA_INVALID, "reviews.jsonl row 7: not valid JSON")),
}


def condition(status, kind):
    return next((c for c in status.conditions if c.type == kind), None)


def test_the_first_status_holds_the_plan_with_reasons():
    status = status_of(seen())
    assert status.phase is Phase.PENDING
    assert status.plan.method == "lora"
    assert all(choice.reason for choice in status.plan.choices)
    assert sum(term.bytes for term in status.plan.memory) == status.plan.predicted_peak_bytes
    assert status.columns.devices == "1xcpu"


def test_training_shows_progress_in_status_and_columns():
    status = status_of(seen(**RUNNING, progress=at_step(42, loss=0.41234, eta_seconds=75)))
    assert status.phase is Phase.RUNNING
    assert status.progress.step == 42
    columns = status.columns
    assert (columns.progress, columns.step, columns.loss, columns.eta) == ("42%", "42/100", "0.4123", "1m15s")
    assert (columns.reason, columns.attempt) == ("Training", "1")
    assert condition(status, "Running").status == "True"


def test_a_success_holds_metrics_artifacts_and_where_they_lie():
    report = a_report(artifacts=(Artifact(kind="adapter", path="adapter", bytes=5, sha256="ab"),))
    status = status_of(seen(workload=DONE["workload"], pod=ended(0, report=report)))
    assert status.phase is Phase.SUCCEEDED
    assert status.result.metrics_before["accuracy"] == 0.53
    assert status.result.metrics_after["accuracy"] == 0.84
    assert status.result.artifacts[0].uri == f"pvc://{names.work_claim(KEY)}/output/adapter"
    assert status.completion_time == timestamps.write(NOW - 1)
    assert (status.progress.percent, status.progress.phase, status.columns.eta) == (100, "Done", "0s")
    assert condition(status, "Succeeded").status == "True"
    assert condition(status, "Stalled") is None


def test_a_failure_tells_reason_and_message_everywhere_a_user_looks():
    status = status_of(seen(**BROKE))
    assert status.phase is Phase.FAILED
    assert "row 7" in status.message
    assert status.columns.reason == "DataInvalid"
    for kind in ("Finished", "Stalled"):
        assert condition(status, kind).status == "True"
    assert condition(status, "Succeeded").status == "False"
    assert status.attempts[0].reason == "DataInvalid"
    assert status.result is None


def test_a_failure_in_mid_training_keeps_the_progress_that_was_made():
    before = status_of(seen(**RUNNING, progress=at_step(42, loss=0.4)))
    report = a_failure(FailureReason.NON_FINITE_LOSS, step=43, total_steps=100)
    status = status_of(seen(previous=before, workload=BROKE["workload"], pod=ended(23, report=report)))
    assert (status.progress.step, status.progress.percent) == (43, 42)
    assert status.progress.eta_seconds is None


def test_a_refusal_by_the_planner_ends_the_job_at_once():
    status = status_of(seen(a_job(model={"name": "unheard-of"})))
    assert status.phase is Phase.FAILED
    assert condition(status, "Accepted").status == "False"
    assert status.completion_time == timestamps.write(NOW)
    assert status.plan is None


def test_a_refusal_by_the_api_server_is_quoted_and_the_job_stays_pending():
    status = status_of(seen(), Result(refused=Refused("Job", "reviews-1", 403, "denied by policy")))
    assert status.phase is Phase.PENDING
    assert status.columns.reason == "RefusedByAPI"
    assert "denied by policy" in status.message
    assert condition(status, "Reconciling").reason == "RefusedByAPI"
    assert status.attempts == ()


KEPT = Result(refused=Refused("Job", "reviews-1", 403, "denied by policy", deleting=True))


def test_a_deletion_that_the_api_server_refuses_is_quoted_and_what_was_asked_is_remembered():
    status = status_of(seen(a_job(suspend=True), **RUNNING), KEPT)
    assert (status.phase, status.columns.reason) == (Phase.SUSPENDING, "RefusedByAPI")
    assert status.message == "Job reviews-1 cannot be deleted: denied by policy"
    assert condition(status, "Reconciling").reason == "RefusedByAPI"
    assert status.attempts[-1].reason == "Suspended"


def test_what_cannot_be_cleared_up_does_not_hide_how_a_job_ended():
    status = status_of(seen(**BROKE), KEPT)
    assert (status.phase, status.columns.reason) == (Phase.FAILED, "DataInvalid")
    assert "row 7" in status.message
    assert condition(status, "Running").reason == "DataInvalid"


def test_a_quota_that_is_used_up_is_told_as_such():
    status = status_of(seen(), Result(refused=Refused("Job", "reviews-1", 403, "exceeded quota: count/jobs.batch")))
    assert status.columns.reason == "QuotaExceeded"


def test_every_condition_is_there_from_the_first_status_on():
    kinds = {c.type for c in status_of(seen()).conditions}
    lasting = {"Accepted", "Running", "Suspended", "CheckpointAvailable", "Finished", "Succeeded"}
    assert kinds == lasting | {"Reconciling"}


def test_reconciling_goes_once_the_trainer_is_up():
    assert condition(status_of(seen(**RUNNING)), "Reconciling") is None


def test_a_transition_time_moves_only_when_the_status_of_the_condition_does():
    first = status_of(seen(missing=(Missing(Required("ConfigMap", "rows", "spec.x")),)))
    later = status_of(seen(previous=first, now=NOW + 60, workload=a_workload()))
    started = status_of(seen(previous=later, now=NOW + 90, **RUNNING))
    assert condition(later, "Running").last_transition_time == timestamps.write(NOW)
    assert condition(later, "Running").reason == "Created"
    assert condition(started, "Running").last_transition_time == timestamps.write(NOW + 90)


def test_an_ended_job_keeps_its_status_to_the_letter():
    done = status_of(seen(**DONE))
    assert status_of(seen(previous=done, now=NOW + 999)) == done
    assert status_of(seen(previous=done, now=NOW + 999, **BROKE)) == done


def test_nothing_new_gives_the_same_status():
    snapshot = seen(**RUNNING, progress=at_step(3))
    once = status_of(snapshot)
    assert status_of(dataclasses.replace(snapshot, previous=once, now=NOW + 5)) == once


def test_progress_outlives_the_trainer_that_told_it():
    running = status_of(seen(**RUNNING, progress=at_step(42)))
    assert status_of(seen(previous=running, workload=a_workload(), pod=a_pod(running=True))).progress.step == 42


@pytest.mark.parametrize(("storage", "want"), [({"ephemeral": {}}, "False"), ({"template": {}}, "True")])
def test_a_checkpoint_is_resumable_only_on_storage_that_stays(storage, want):
    spec = a_job(checkpoints={"storage": storage})
    status = status_of(seen(spec, **RUNNING, progress=at_step(42, checkpoint_step=40)))
    assert status.checkpoint.step == 40
    assert condition(status, "CheckpointAvailable").status == want


def test_a_resumed_attempt_says_from_where():
    status = status_of(seen(**RUNNING, progress=at_step(42, resumed_from_step=40)))
    assert status.attempts[0].resumed_from_step == 40


def test_an_attempt_that_was_begun_is_remembered_at_once():
    (one,) = status_of(seen()).attempts
    assert (one.number, one.start_time) == (1, None)
    assert status_of(seen()).columns.attempt == "1"


STOPPED = a_report(outcome=Outcome.SUSPENDED, checkpoint_step=40, step=42)


def test_a_suspended_job_tells_that_it_holds_nothing_and_where_it_resumes():
    asked = a_job(suspend=True)
    running = status_of(seen(**RUNNING, progress=at_step(42)))
    stopping = status_of(seen(asked, previous=running, **RUNNING))
    assert (stopping.phase, condition(stopping, "Suspended").status) == (Phase.SUSPENDING, "False")
    assert condition(stopping, "Reconciling").status == "True"
    gone = ended(ExitCode.SUSPENDED, report=STOPPED, gone_at=0.0)
    rests = status_of(seen(asked, previous=stopping, listed=True, pod=gone))
    assert (rests.phase, rests.columns.reason, rests.checkpoint.step) == (Phase.SUSPENDED, "Suspended", 40)
    assert condition(rests, "Suspended").status == "True"
    assert "resumes at step 40" in condition(rests, "Suspended").message
    assert condition(rests, "CheckpointAvailable").status == "True"
    assert condition(rests, "Reconciling") is None
    assert condition(rests, "Running").status == "False"
    assert rests.completion_time is None
    later = status_of(seen(asked, previous=rests, now=NOW + 600))
    assert later == rests


def test_a_job_suspended_before_it_saved_begins_at_the_first_step():
    assert "begins at the first step" in condition(status_of(seen(a_job(suspend=True))), "Suspended").message


def test_a_checkpoint_has_the_moment_at_which_it_was_seen_first():
    running = seen(**RUNNING, progress=at_step(42, checkpoint_step=40))
    first = status_of(running)
    later = status_of(dataclasses.replace(running, previous=first, now=NOW + 9))
    assert first.checkpoint.time == later.checkpoint.time == timestamps.write(NOW)
    ends = ended(30, report=dataclasses.replace(STOPPED, checkpoint_step=50))
    assert status_of(seen(previous=first, workload=a_workload(), pod=ends)).checkpoint.time == timestamps.write(NOW - 1)


def test_a_cancelled_job_has_ended_in_a_way_of_its_own():
    before = remembered(an_attempt(reason="Cancelled"))
    status = status_of(seen(a_job(cancel=True), previous=before))
    assert (status.phase, status.columns.reason) == (Phase.CANCELLED, "Cancelled")
    assert condition(status, "Finished").reason == "Cancelled"
    assert condition(status, "Succeeded").status == "False"
    assert status.completion_time == timestamps.write(NOW)


def test_storage_that_goes_with_the_pod_is_told_before_anything_runs():
    status = status_of(seen(a_job(checkpoints={"storage": {"ephemeral": {}}})))
    assert condition(status, "CheckpointAvailable").reason == "Ephemeral"
    assert "nothing can resume" in condition(status, "CheckpointAvailable").message


QUEUED = a_job(queueName="team")
HELD = a_workload(suspended=True, started_at=None, suspended_message="Job suspended")


def test_a_job_without_a_queue_says_nothing_of_one():
    assert condition(status_of(seen()), "Admitted") is None


def test_admission_eviction_and_readmission_are_mirrored():
    waits = status_of(seen(QUEUED, workload=HELD))
    assert (waits.phase, condition(waits, "Admitted").reason) == (Phase.QUEUED, "Queued")
    runs = status_of(seen(QUEUED, previous=waits, **RUNNING))
    assert (runs.phase, condition(runs, "Admitted").status) == (Phase.STARTING, "True")
    evicted = status_of(seen(QUEUED, previous=runs, workload=HELD))
    told = condition(evicted, "Admitted")
    assert (told.status, told.reason, told.message) == ("False", "Evicted", "Job suspended")
    still = status_of(seen(QUEUED, previous=evicted, workload=dataclasses.replace(HELD, suspended_message="")))
    assert condition(still, "Admitted").reason == "Evicted"
    back = status_of(seen(QUEUED, previous=still, **RUNNING))
    assert condition(back, "Admitted").status == "True"


def test_what_an_evicted_trainer_saved_in_the_end_is_known_while_it_waits():
    runs = status_of(seen(QUEUED, **RUNNING, progress=at_step(42, checkpoint_step=40, eta_seconds=75)))
    saved = ended(ExitCode.SUSPENDED, report=a_report(outcome=Outcome.SUSPENDED, step=47, checkpoint_step=47))
    waits = status_of(seen(QUEUED, previous=runs, workload=HELD, pod=saved, progress=at_step(42, checkpoint_step=40)))
    assert (waits.phase, waits.checkpoint.step, waits.progress.step) == (Phase.QUEUED, 47, 47)
    assert (waits.columns.step, waits.columns.eta) == ("47/100", "")


def test_what_a_queue_says_is_in_the_condition():
    full, taken = Trouble("Pending", "no room for cpu"), Trouble("Preempted", "somebody was more important")
    waits = status_of(seen(QUEUED, workload=HELD, trouble=full))
    assert condition(waits, "Admitted").message == waits.message == "waits for a place in queue 'team': no room for cpu"
    evicted = status_of(seen(QUEUED, previous=status_of(seen(QUEUED, **RUNNING)), workload=HELD, trouble=taken))
    assert condition(evicted, "Admitted").message == "somebody was more important"


def test_a_job_that_has_ended_or_rests_holds_no_place_in_a_queue():
    rests = status_of(seen(a_job(queueName="team", suspend=True)))
    ended_by_hand = status_of(seen(a_job(queueName="team", cancel=True)))
    for status, reason in ((rests, "Suspended"), (ended_by_hand, "Cancelled")):
        told = condition(status, "Admitted")
        assert (told.status, told.reason, told.message) == ("False", reason, "it holds no place in a queue")


def test_a_job_that_is_being_deleted_gets_no_new_status():
    assert status_of(seen(deleting=True)) == seen().previous
