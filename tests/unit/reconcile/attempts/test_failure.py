"""Why an attempt failed, from whatever evidence is left."""

import pytest
from builders import NOW, a_failure, a_pod, a_report, a_workload, ended
from finetune_operator.api.v1alpha1.reasons import FAILURES, INFRASTRUCTURE, Reason
from finetune_operator.reconcile.attempts.failure import cause, exit_report
from finetune_operator.reconcile.snapshot import Ending
from finetune_trainer.contract import EXIT_CODES, ExitCode, FailureReason, Outcome, to_json

FAILED = a_workload(failed_reason="BackoffLimitExceeded", failed_message="Job has failed")

CASES = {
    "the deadline is known from the Job": (
        a_workload(failed_reason="DeadlineExceeded"),
        ended(143),
        Reason.DEADLINE_EXCEEDED,
        "activeDeadlineSeconds",
    ),
    "a pod that was deleted by force leaves no report": (FAILED, None, Reason.INTERRUPTED, "was deleted"),
    "a Job that was deleted leaves its pod's word": (
        None,
        ended(10, report=a_failure(FailureReason.DATA_INVALID, "row 7")),
        Reason.DATA_INVALID,
        "row 7",
    ),
    "a Job that was deleted with all its traces was deleted by hand": (None, None, Reason.INTERRUPTED, "by hand"),
    "memory that ran out weighs more than an error that came of it": (
        FAILED,
        ended(1, report=a_failure(FailureReason.TRAINER_ERROR, "a worker died"), reason="OOMKilled"),
        Reason.HOST_OUT_OF_MEMORY,
        "more memory than its limit",
    ),
    "an eviction weighs more than an error that came of it": (
        FAILED,
        ended(1, report=a_failure(FailureReason.TRAINER_ERROR, "broken"), disruption="EvictionByEvictionAPI"),
        Reason.EVICTED,
        "EvictionByEvictionAPI",
    ),
    "a deleted pod that did not save in time was interrupted": (
        FAILED,
        ended(137, deleting=True),
        Reason.INTERRUPTED,
        "did not save in its grace period",
    ),
    "an error of the trainer is told in its words": (
        FAILED,
        ended(1, report=a_failure(FailureReason.TRAINER_ERROR, "boom")),
        Reason.TRAINER_ERROR,
        "boom",
    ),
    "the trainer's own report counts before its exit code": (
        FAILED,
        ended(1, report=a_failure(FailureReason.NON_FINITE_LOSS, "loss is NaN at step 3")),
        Reason.NON_FINITE_LOSS,
        "loss is NaN at step 3",
    ),
    "a container killed for memory is out of memory": (
        FAILED,
        ended(137, reason="OOMKilled"),
        Reason.HOST_OUT_OF_MEMORY,
        "more memory than its limit",
    ),
    "an evicted pod says why": (
        FAILED,
        a_pod(phase="Failed", reason="Evicted", message="The node was low on resource: ephemeral-storage."),
        Reason.EVICTED,
        "ephemeral-storage",
    ),
    "a lost node is an infrastructure failure": (FAILED, a_pod(reason="NodeLost"), Reason.NODE_LOST, "taken away"),
    "preemption is known from the pod's condition": (
        FAILED,
        a_pod(disruption="PreemptionByScheduler"),
        Reason.PREEMPTED,
        "PreemptionByScheduler",
    ),
    "a pod without an end leaves the Job's word": (FAILED, a_pod(), Reason.UNKNOWN, "Job has failed"),
    "a pod and a Job without a word leave no trace": (
        a_workload(failed_reason="X"),
        a_pod(),
        Reason.UNKNOWN,
        "no trace",
    ),
    "an unknown exit code is quoted with the last line": (
        FAILED,
        ended(99, message="first\nlast words\n"),
        Reason.UNKNOWN,
        "exit code 99: last words",
    ),
    "a kill from outside is named": (FAILED, ended(137), Reason.UNKNOWN, "137 (killed)"),
    "a report that contradicts the exit code is not believed": (
        FAILED,
        ended(1, report=a_report()),
        Reason.TRAINER_ERROR,
        "exit code 1",
    ),
    "a stopped trainer tells where it saved": (
        FAILED,
        ended(ExitCode.SUSPENDED, report=a_report(outcome=Outcome.SUSPENDED, checkpoint_step=40)),
        Reason.INTERRUPTED,
        "saved at step 40",
    ),
    "a stopped trainer without a report is still known as such": (
        FAILED,
        ended(ExitCode.SUSPENDED),
        Reason.INTERRUPTED,
        "stopped from outside",
    ),
}


@pytest.mark.parametrize(("workload", "pod", "want_reason", "want_words"), CASES.values(), ids=CASES)
def test_cause(workload, pod, want_reason, want_words):
    found = cause(workload, () if pod is None else (pod,))
    assert found.reason is want_reason
    assert want_words in found.message


@pytest.mark.parametrize("reason", FailureReason)
def test_each_exit_code_of_the_trainer_has_its_reason(reason):
    assert cause(FAILED, (ended(EXIT_CODES[reason]),)).reason == reason.value


REFUSED_BY_KUBELET = ["UnexpectedAdmissionError", "OutOfcpu", "OutOfmemory", "OutOfpods", "OutOfnvidia.com/gpu"]
KUBELETS = {
    **dict.fromkeys([*REFUSED_BY_KUBELET, "NodeAffinity", "TopologyAffinityError"], Reason.EVICTED),
    **dict.fromkeys(["Shutdown", "NodeShutdown", "Terminated"], Reason.NODE_LOST),
    "Preempting": Reason.PREEMPTED,
}


@pytest.mark.parametrize(("word", "want"), KUBELETS.items(), ids=KUBELETS)
def test_what_a_kubelet_does_to_a_pod_is_no_failure_of_the_job(word, want):
    found = cause(FAILED, (a_pod(phase="Failed", reason=word, message="Pod was rejected: no healthy devices present"),))
    assert found.reason is want
    assert want in INFRASTRUCTURE
    assert found.message == "Pod was rejected: no healthy devices present"


UNKNOWN_TO_KUBELET = ended(137, reason="ContainerStatusUnknown", message="The container could not be located")
VANISHED = {
    "with its node": (UNKNOWN_TO_KUBELET, Reason.NODE_LOST, "could not be located"),
    "with its pod, which somebody deleted": (
        ended(137, reason="ContainerStatusUnknown", deleting=True),
        Reason.INTERRUPTED,
        "was deleted",
    ),
    "with its pod, which was evicted": (
        ended(137, reason="ContainerStatusUnknown", disruption="TerminationByKubelet"),
        Reason.EVICTED,
        "TerminationByKubelet",
    ),
}


@pytest.mark.parametrize(("pod", "want_reason", "want_words"), VANISHED.values(), ids=VANISHED)
def test_a_container_that_nobody_finds_went(pod, want_reason, want_words):
    found = cause(FAILED, (pod,))
    assert found.reason is want_reason
    assert want_words in found.message


RANKS = {
    "the first that failed counts, not those that broke off after it": (
        (
            ended(1, ending=Ending(1, "Error", to_json(a_failure(FailureReason.TRAINER_ERROR, "later")), NOW)),
            ended(1, report=a_failure(FailureReason.TRAINER_ERROR, "first"), rank=1),
        ),
        Reason.TRAINER_ERROR,
        "first",
    ),
    "a rank that ran out of memory counts, not what the others say of it": (
        (ended(1, report=a_failure(FailureReason.TRAINER_ERROR, "connection reset")), ended(137, reason="OOMKilled")),
        Reason.HOST_OUT_OF_MEMORY,
        "more memory than its limit",
    ),
    "a rank whose node is gone counts, not those that were stopped for it": (
        (ended(ExitCode.SUSPENDED), a_pod(rank=1, disruption="DeletionByTaintManager")),
        Reason.NODE_LOST,
        "DeletionByTaintManager",
    ),
    "a rank that succeeded tells nothing": (
        (ended(0, report=a_report()), ended(24, rank=1)),
        Reason.CHECKPOINT_CORRUPT,
        "exit code 24",
    ),
}


@pytest.mark.parametrize(("pods", "want_reason", "want_words"), RANKS.values(), ids=RANKS)
def test_of_several_ranks_the_one_that_failed_by_itself_tells_why(pods, want_reason, want_words):
    found = cause(FAILED, pods)
    assert found.reason is want_reason
    assert want_words in found.message


def test_every_reason_of_the_trainer_is_a_reason_of_the_api():
    assert {reason.value for reason in FailureReason} <= {reason.value for reason in FAILURES}


def test_a_termination_message_that_is_no_report_is_none():
    assert exit_report(None) is None
    assert exit_report(Ending(1, "Error", "", 0.0)) is None
    assert exit_report(Ending(1, "Error", "{not json", 0.0)) is None
