"""What a written status adds to the fleet's counters."""

import dataclasses

import pytest
from builders import KEY, NOW, a_failure, a_job, a_pod, a_report, a_workload, at_step, ended, seen, status_of
from finetune_operator.api import timestamps
from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.reasons import Phase
from finetune_operator.api.v1alpha1.status import (
    AttemptStatus,
    CheckpointStatus,
    Condition,
    FineTuneJobStatus,
    ProgressStatus,
)
from finetune_operator.telemetry.fleet import MAX_NAMESPACES, RETIRE_AFTER, useful_share
from finetune_operator.telemetry.instruments import exposition
from finetune_operator.telemetry.process import Telemetry
from finetune_trainer.contract import FailureReason


def after(*moves) -> str:
    """The metrics after passes, each a snapshot, or a snapshot and the status written for it."""
    telemetry = Telemetry("1.0")
    for move in moves:
        snapshot, status = move if isinstance(move, tuple) else (move, status_of(move))
        telemetry.moved(snapshot, status)
    return exposition(telemetry.registry, "")[0].decode()


RUNNING = seen(workload=a_workload(), pod=a_pod(running=True), progress=at_step(1))


def test_a_first_status_is_timed_once():
    first = seen()
    text = after(first, seen(previous=status_of(first), workload=a_workload()))
    assert "finetune_job_first_status_seconds_count 1.0" in text
    assert 'finetune_jobs_created_total{method="lora",namespace="team"} 1.0' in text


def test_the_first_step_ends_the_startup():
    later = seen(previous=status_of(RUNNING), workload=a_workload(), pod=a_pod(running=True), progress=at_step(2))
    text = after(RUNNING, later)
    assert "finetune_job_startup_seconds_count 1.0" in text
    assert 'finetune_job_queue_wait_seconds_count{namespace="team"} 1.0' in text


def test_the_startup_of_a_queued_job_begins_with_its_place():
    given = {"type": "Admitted", "status": "True", "reason": "Admitted", "observedGeneration": 1}
    given |= {"lastTransitionTime": timestamps.write(NOW - 30)}
    running = {"start_time": timestamps.write(NOW - 20), "conditions": (Condition.model_validate(given),)}
    text = after((seen(age=500), status(attempt(1), step=1, **running)), (seen(age=90), status(step=1, **BEGUN)))
    assert "finetune_job_startup_seconds_sum 120.0" in text  # 30 with a queue, 90 without


def test_an_end_is_counted_with_its_result():
    done = seen(workload=a_workload(complete=True, finished_at=NOW - 1), pod=ended(0, report=a_report()))
    text = after(done)
    assert 'finetune_jobs_finished_total{method="lora",namespace="team",result="succeeded"} 1.0' in text
    assert 'finetune_jobs_finished_total{method="lora",namespace="team",result="failed"} 0.0' in text


def test_failures_tell_users_faults_from_the_clusters():
    broken = seen(
        a_job(backoffLimit=0),
        workload=a_workload(failed_reason="BackoffLimitExceeded", finished_at=NOW - 1),
        pod=ended(10, report=a_failure(FailureReason.DATA_INVALID)),
    )
    text = after(broken, seen(a_job(model={"name": "unheard-of"})))
    for reason in ("DataInvalid", "ModelNotFound"):
        assert f'{{class="user",namespace="team",reason="{reason}"}} 1.0' in text
    assert 'finetune_job_failures_total{class="infra",namespace="team",reason="NodeLost"} 0.0' in text


BEGUN = {"start_time": timestamps.write(NOW - 20)}


def attempt(number: int, **facts) -> AttemptStatus:
    return AttemptStatus(number=number, job=f"reviews-{number}", **facts)


def times(seconds: float) -> dict:
    return {"start_time": timestamps.write(NOW - seconds), "end_time": timestamps.write(NOW)}


def status(*attempts, phase=Phase.PENDING, step=0, saved=None, **facts) -> FineTuneJobStatus:
    plan = status_of(seen()).plan
    progress = ProgressStatus(phase="Training", percent=0, step=step, updated_at=timestamps.write(NOW))
    checkpoint = CheckpointStatus(step=saved, resumable=True) if saved is not None else None
    return FineTuneJobStatus(
        observed_generation=1,
        phase=phase,
        plan=plan,
        attempts=attempts,
        progress=progress,
        checkpoint=checkpoint,
        **facts,
    )


def test_a_retry_is_counted_with_the_reason_of_the_attempt_before():
    one = attempt(1, reason="Preempted", **times(10))
    text = after((seen(previous=status(one)), status(one, attempt(2))))
    assert 'finetune_job_restarts_total{namespace="team",reason="Preempted"} 1.0' in text


def test_device_time_of_an_attempt_is_split_by_what_its_checkpoint_keeps():
    before = status(attempt(1, start_time=timestamps.write(NOW - 100)))
    text = after((seen(previous=before), status(attempt(1, **times(100)), step=80, saved=60)))
    assert 'finetune_gpu_seconds_total{gpu_type="cpu",namespace="team",outcome="useful"} 75.0' in text
    assert 'finetune_gpu_seconds_total{gpu_type="cpu",namespace="team",outcome="wasted"} 25.0' in text


def test_device_time_of_a_job_that_is_deleted_while_it_runs_is_wasted_and_counted():
    telemetry = Telemetry("1.0")
    over, running = attempt(1, **times(100)), attempt(2, start_time=timestamps.write(NOW - 40))
    telemetry.deleted(KEY, status(over, running), NOW)
    text = exposition(telemetry.registry, "")[0].decode()
    assert 'finetune_gpu_seconds_total{gpu_type="cpu",namespace="team",outcome="wasted"} 40.0' in text


def test_a_job_that_is_deleted_after_its_end_has_nothing_left_to_count():
    telemetry = Telemetry("1.0")
    done = status(attempt(1, start_time=timestamps.write(NOW - 40)), completion_time=timestamps.write(NOW))
    for last in (done, FineTuneJobStatus()):
        telemetry.deleted(KEY, last, NOW)
    assert "finetune_gpu_seconds_total{" not in exposition(telemetry.registry, "")[0].decode()


def test_device_time_is_counted_once():
    done = status(attempt(1, **times(100)), step=80, saved=60)
    text = after((seen(previous=status(attempt(1))), done), (seen(previous=done), done))
    assert 'outcome="useful"} 75.0' in text


SHARES = {
    "a job with a result wasted nothing": (status(phase=Phase.SUCCEEDED, step=5), attempt(1), 1.0),
    "without a checkpoint all is lost": (status(step=50), attempt(1), 0.0),
    "what was saved before this attempt is not its merit": (
        status(step=60, saved=50),
        attempt(2, resumed_from_step=50),
        0.0,
    ),
    "an attempt that stopped at its checkpoint lost nothing": (
        status(step=70, saved=70),
        attempt(2, resumed_from_step=50),
        1.0,
    ),
    "an attempt without a step gained nothing": (status(step=50, saved=50), attempt(2, resumed_from_step=50), 0.0),
    "a job that failed for good lost even its checkpoint": (
        status(phase=Phase.FAILED, step=60, saved=60, completion_time=timestamps.write(NOW)),
        attempt(1),
        0.0,
    ),
}


@pytest.mark.parametrize(("written", "one", "want"), SHARES.values(), ids=SHARES)
def test_the_useful_share_of_an_attempt(written, one, want):
    assert useful_share(written, one) == want


def in_namespace(name: str, now: float = NOW):
    bare = seen()
    return dataclasses.replace(bare, meta=dataclasses.replace(bare.meta, key=JobKey(name, "a", "u")), now=now)


def test_namespaces_beyond_the_cap_count_together():
    text = after(*(in_namespace(f"n{number}") for number in range(MAX_NAMESPACES + 3)))
    assert 'finetune_jobs_created_total{method="lora",namespace="_other"} 3.0' in text
    assert 'namespace="n50"' not in text


def test_a_namespace_without_news_for_long_makes_room():
    first = [in_namespace(f"n{number}") for number in range(MAX_NAMESPACES)]
    text = after(*first, in_namespace("new", now=NOW + RETIRE_AFTER))
    assert 'finetune_jobs_created_total{method="lora",namespace="new"} 1.0' in text
    assert 'namespace="n0"' not in text
