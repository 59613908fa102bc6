"""What is measured as things happen."""

from builders import NOW, a_failure, a_job, a_pod, a_report, a_workload, at_step, ended, seen, status_of
from finetune_operator.reconcile.decide import decide
from finetune_operator.telemetry.exposition import exposition
from finetune_operator.telemetry.process import Telemetry
from finetune_trainer.contract import FailureReason


def after(*snapshots, method="lora") -> str:
    telemetry = Telemetry("1.0")
    for snapshot in snapshots:
        telemetry.moved(snapshot, decide(snapshot).verdict, method)
    return exposition(telemetry.registry, "")[0].decode()


def test_a_first_status_is_timed_once():
    first = seen()
    text = after(first, seen(previous=status_of(first), workload=a_workload()))
    assert "finetune_job_first_status_seconds_count 1.0" in text
    assert 'finetune_jobs_created_total{method="lora",namespace="team"} 1.0' in text


def test_the_first_step_ends_the_startup():
    running = seen(workload=a_workload(), pod=a_pod(running=True), progress=at_step(1))
    later = seen(previous=status_of(running), workload=a_workload(), pod=a_pod(running=True), progress=at_step(2))
    assert "finetune_job_startup_seconds_count 1.0" in after(running, later)


def test_an_end_is_counted_with_its_result():
    done = seen(workload=a_workload(complete=True, finished_at=NOW - 1), pod=ended(0, report=a_report()))
    text = after(done)
    assert 'finetune_jobs_finished_total{method="lora",namespace="team",result="succeeded"} 1.0' in text
    assert "finetune_job_failures_total{" not in text


def test_failures_tell_users_faults_from_the_clusters():
    workload = a_workload(failed_reason="BackoffLimitExceeded", finished_at=NOW - 1)
    user = seen(workload=workload, pod=ended(10, report=a_failure(FailureReason.DATA_INVALID)))
    infra = seen(workload=workload, pod=ended(137, reason="OOMKilled"))
    refused = seen(a_job(model={"name": "unheard-of"}))
    text = after(user, infra, refused)
    for reason, blame in (("DataInvalid", "user"), ("HostOutOfMemory", "infra"), ("UnknownModel", "user")):
        assert f'{{class="{blame}",namespace="team",reason="{reason}"}} 1.0' in text


def test_requests_passes_and_lag_are_measured():
    telemetry = Telemetry("1.0")
    telemetry.requested("get", "pods", 200, 0.01)
    telemetry.reconciled("success", 0.01)
    telemetry.in_flight(1, 2)
    telemetry.watched("pods", 5.0)
    telemetry.lagged(0.1)
    telemetry.unhandled(KeyError())
    text = exposition(telemetry.registry, "")[0].decode()
    assert 'finetune_operator_api_requests_total{code="200",resource="pods",verb="get"} 1.0' in text
    assert 'finetune_operator_unhandled_errors_total{cause="KeyError"} 1.0' in text
    assert "finetune_operator_queue_depth 2.0" in text
