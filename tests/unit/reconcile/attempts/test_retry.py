"""Whether, when and how a job is tried again."""

import pytest
from builders import NOW, a_failure, a_job, an_attempt, ended, remembered, seen
from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1.reasons import FAILURES, Reason
from finetune_operator.api.v1alpha1.status import CheckpointStatus
from finetune_operator.api.v1alpha1.storage import Checkpoints
from finetune_operator.planning.plan import Descent, plan
from finetune_operator.planning.profiles import Profiles
from finetune_operator.reconcile.attempts import retry
from finetune_operator.reconcile.attempts.retry import (
    FIRST_PAUSE,
    INFRASTRUCTURE_LIMIT,
    JITTER,
    LONGEST_PAUSE,
    Again,
    Enough,
    FailureClass,
)
from finetune_trainer.contract import FailureReason, Progress, TrainerPhase

ENDED = NOW - 1


def after(*reasons, spec=None, **fields):
    attempts = tuple(an_attempt(n, reason=reason, message="words", **fields) for n, reason in enumerate(reasons, 1))
    return retry.after(seen(spec, previous=remembered(*attempts)), spec or a_job(), attempts)


def about(seconds):
    return pytest.approx(ENDED + seconds, abs=seconds * JITTER + 0.001)


@pytest.mark.parametrize("reason", ["DataInvalid", "AuthFailed", "NonFiniteLoss", "ImagePull", "Unschedulable"])
def test_what_the_user_has_to_change_is_never_tried_again(reason):
    assert after(reason) == Enough(Reason(reason), "words")


def test_what_the_cluster_broke_off_goes_on_at_once_the_first_time():
    assert after("Evicted") == Again(ENDED, Descent(), Reason.RESTARTING, "attempt 1 ended: Evicted: words")


def test_what_the_cluster_breaks_off_again_and_again_waits_longer_and_longer():
    assert after("Evicted", "NodeLost").at == about(FIRST_PAUSE)
    assert after("Evicted", "NodeLost", "Interrupted").at == about(2 * FIRST_PAUSE)


def test_what_the_cluster_breaks_off_too_often_ends_the_job():
    most = ["Preempted"] * INFRASTRUCTURE_LIMIT
    assert isinstance(after(*most), Again)
    enough = after(*most, "Preempted")
    assert enough.reason is Reason.PREEMPTED
    assert "broke off 11 attempts" in enough.message


def broken_off(*steps):
    """What follows attempts that the cluster broke off, each with so many steps saved by then."""
    attempts = tuple(an_attempt(n, reason="Preempted", checkpoint_step=step) for n, step in enumerate(steps, 1))
    return retry.after(seen(previous=remembered(*attempts)), a_job(), attempts)


def test_what_the_cluster_breaks_off_goes_on_for_as_long_as_it_gets_further_each_time():
    assert broken_off(*range(10, 410, 10)).at == ENDED


def test_a_newer_checkpoint_sets_the_count_of_what_the_cluster_broke_off_back():
    stuck = [10] * INFRASTRUCTURE_LIMIT
    assert isinstance(broken_off(10, *stuck), Again)
    assert broken_off(10, *stuck, 20).at == ENDED
    assert broken_off(10, *stuck, 20, 20).at == ENDED
    assert broken_off(10, *stuck, 20, 20, 20).at == about(FIRST_PAUSE)
    assert "without a newer checkpoint" in broken_off(10, *stuck, 20, *[20] * (INFRASTRUCTURE_LIMIT + 1)).message


def test_steps_that_are_saved_and_lost_again_are_no_advance():
    assert isinstance(broken_off(*[10, 5, 8, 10, 3] * 2, 10, 4), Enough)


def test_what_the_cluster_broke_off_does_not_use_up_the_backoff_limit():
    assert isinstance(after("Evicted", "Evicted", "TrainerError", spec=a_job(backoffLimit=1)), Again)


def test_errors_are_tried_again_up_to_the_backoff_limit_with_growing_pauses():
    assert after("TrainerError").at == about(FIRST_PAUSE)
    assert after("TrainerError", "StorageFull").at == about(2 * FIRST_PAUSE)
    assert after("TrainerError", "Unknown", "CheckpointCorrupt").at == about(4 * FIRST_PAUSE)
    enough = after(*["TrainerError"] * 4)
    assert (enough.reason, "spec.backoffLimit is 3" in enough.message) == (Reason.TRAINER_ERROR, True)
    assert "1 failure: spec.backoffLimit is 0" in after("TrainerError", spec=a_job(backoffLimit=0)).message


def test_no_pause_is_longer_than_five_minutes():
    assert after(*["TrainerError"] * 50, spec=a_job(backoffLimit=100)).at == about(LONGEST_PAUSE)


def test_the_pause_of_a_job_is_the_same_at_each_look_and_another_for_each_attempt():
    assert after("TrainerError") == after("TrainerError")
    spec = a_job(backoffLimit=100)
    pauses = {after(*["TrainerError"] * count, spec=spec).at for count in range(30, 40)}
    assert len(pauses) == 10


def test_what_was_suspended_resumes_at_once_and_counts_for_nothing():
    again = after("Suspended", "Suspended", "Suspended", "Suspended", spec=a_job(backoffLimit=0))
    assert (again.at, again.reason) == (ENDED, Reason.RESUMED)


def test_a_job_whose_deadline_was_raised_meanwhile_goes_on():
    assert after("DeadlineExceeded").reason is Reason.RESUMED


def test_the_plan_stays_as_small_as_it_had_become():
    assert after("Evicted", rung=1, memory_raises=2).descent == Descent(1, 2)
    assert after("Suspended", rung=1).descent == Descent(1, 0)


def test_an_attempt_without_a_moment_or_a_reason_counts_as_just_ended_for_an_unknown_one():
    attempt = an_attempt(message="words")
    again = retry.after(seen(), a_job(), (attempt,))
    assert again.at > NOW
    assert "Unknown" in again.message


def test_memory_that_ran_out_is_met_by_a_smaller_plan_at_once_in_words():
    again = after("HostOutOfMemory")
    assert (again.at, again.descent, again.reason) == (NOW, Descent(1, 0), Reason.RESTARTING)
    assert again.change.startswith("microBatchSize")
    assert again.change in again.message
    assert "same effective batch" in again.message


def test_memory_that_runs_out_does_not_use_up_the_backoff_limit():
    assert isinstance(after("TrainerError", "HostOutOfMemory", spec=a_job(backoffLimit=1)), Again)


def test_when_no_smaller_plan_is_left_the_job_ends_and_tells_what_was_tried():
    attempts = (
        an_attempt(1, reason="GPUOutOfMemory"),
        an_attempt(2, reason="GPUOutOfMemory", message="no memory", rung=99, change="microBatchSize 4"),
    )
    enough = retry.after(seen(), a_job(), attempts)
    assert enough == Enough(Reason.GPU_OUT_OF_MEMORY, "no memory; nothing smaller is left. Tried: microBatchSize 4")
    enough = retry.after(seen(), a_job(), (an_attempt(1, reason="GPUOutOfMemory", rung=99),))
    assert enough.message == "GPUOutOfMemory; nothing smaller is left. Tried: the plan has no smaller form"


def test_every_failure_has_a_class():
    classes = {reason: retry.failure_class(reason) for reason in FAILURES}
    assert set(classes.values()) == set(FailureClass)


def test_times_are_read_from_status():
    attempt = an_attempt(reason="Evicted", end_time=timestamps.write(NOW - 100))
    assert retry.after(seen(), a_job(), (attempt,)).at == NOW - 100


SHARED = a_job(
    model={"name": "microsoft/Phi-3-mini-4k-instruct"},
    task="chat",
    technique={"method": "lora"},
    hardware={"accelerator": "nvidia-a100-80gb", "devicesPerNode": 2},
)
SAVED = CheckpointStatus(step=7, resumable=True)
RAN_OUT = a_failure(FailureReason.GPU_OUT_OF_MEMORY, checkpoint_step=7)
TOLD = {
    "by the report": {"pod": ended(13, report=RAN_OUT)},
    "by the last progress": {"progress": Progress(phase=TrainerPhase.TRAINING, updated_at=NOW, checkpoint_step=7)},
    "by what status remembers": {"previous": remembered(checkpoint=SAVED)},
}


def at_the_last_rung_that_reads_a_checkpoint():
    count = sum("ZeRO" not in change and "offload" not in change for change in plan(SHARED, Profiles()).ladder)
    return an_attempt(reason="GPUOutOfMemory", message="no memory", rung=count, change="gradientCheckpointing")


@pytest.mark.parametrize("facts", TOLD.values(), ids=TOLD)
def test_a_checkpoint_is_not_given_up_for_memory_and_the_user_hears_what_would_take_that(facts):
    enough = retry.after(seen(SHARED, **facts), SHARED, (at_the_last_rung_that_reads_a_checkpoint(),))
    assert isinstance(enough, Enough)
    assert "Not tried: ZeRO stage" in enough.message
    assert "cannot read the checkpoint of step 7" in enough.message


def test_without_a_checkpoint_to_lose_devices_share_more():
    attempts = (at_the_last_rung_that_reads_a_checkpoint(),)
    assert "ZeRO stage" in retry.after(seen(SHARED), SHARED, attempts).change
    passing = SHARED.model_copy(update={"checkpoints": Checkpoints.model_validate({"storage": {"ephemeral": {}}})})
    again = retry.after(seen(passing, previous=remembered(checkpoint=SAVED)), passing, attempts)
    assert "ZeRO stage" in again.change


def test_where_nothing_at_all_is_left_no_checkpoint_is_blamed():
    attempts = (an_attempt(1, reason="GPUOutOfMemory", rung=99),)
    enough = retry.after(seen(previous=remembered(checkpoint=SAVED)), a_job(), attempts)
    assert "Not tried" not in enough.message
