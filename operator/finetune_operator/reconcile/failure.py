"""Why an attempt failed: from the trainer's own report, else from exit code, container, pod and Job, in this order.

Not here: what follows from it.
"""

from __future__ import annotations

from finetune_trainer import contract
from finetune_trainer.contract import ExitCode, ExitReport, Outcome

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.reconcile.actions import State, Verdict
from finetune_operator.reconcile.snapshot import Ending, PodFacts, Workload

DEADLINE_EXCEEDED = "DeadlineExceeded"
OOM_KILLED = "OOMKilled"
SIGKILL_EXIT = 137

_BY_EXIT_CODE = {code.value: Reason(reason.value) for reason, code in contract.EXIT_CODES.items()}

_BY_DISRUPTION = {
    "PreemptionByScheduler": Reason.PREEMPTED,
    "EvictionByEvictionAPI": Reason.EVICTED,
    "TerminationByKubelet": Reason.EVICTED,
    "DeletionByTaintManager": Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
}


def classify(workload: Workload, pod: PodFacts | None) -> Verdict:
    """Return the verdict on a failed attempt."""
    if workload.failed_reason == DEADLINE_EXCEEDED:
        return _failed(Reason.DEADLINE_EXCEEDED, "the job ran for longer than spec.activeDeadlineSeconds")
    if pod is None:
        return _failed(Reason.UNKNOWN, f"the pod of {workload.name} is gone and left no report; see its Job's events")
    report = exit_report(pod.ending)
    if report is not None and report.outcome is Outcome.FAILED and report.reason is not None:
        return _failed(Reason(report.reason.value), report.message, report)
    if pod.ending is not None and pod.ending.reason == OOM_KILLED:
        return _failed(Reason.HOST_OUT_OF_MEMORY, "the pod needed more memory than its limit and was killed", report)
    if (cause := _disruption(pod)) is not None:
        return _failed(cause, pod.message or f"the pod was taken away by Kubernetes ({pod.disruption})", report)
    if pod.ending is None:
        return _failed(Reason.UNKNOWN, pod.message or workload.failed_message or "the pod left no trace of its end")
    return _by_exit_code(pod.ending, report)


def exit_report(ending: Ending | None) -> ExitReport | None:
    """Return the trainer's report, or None where the termination message holds none."""
    if ending is None or not ending.message:
        return None
    try:
        return contract.from_json(ExitReport, ending.message)
    except contract.ContractError:
        return None


def _by_exit_code(ending: Ending, report: ExitReport | None) -> Verdict:
    if ending.exit_code == ExitCode.SUSPENDED:
        where = f" at step {report.checkpoint_step}" if report and report.checkpoint_step else ""
        return _failed(Reason.INTERRUPTED, f"the pod was stopped from outside; a checkpoint was saved{where}", report)
    reason = _BY_EXIT_CODE.get(ending.exit_code, Reason.UNKNOWN)
    said = ending.message.strip().splitlines()
    detail = f": {said[-1]}" if said and report is None else ""
    killed = " (killed)" if ending.exit_code == SIGKILL_EXIT else ""
    return _failed(reason, f"the trainer ended with exit code {ending.exit_code}{killed}{detail}; see its log", report)


def _disruption(pod: PodFacts) -> Reason | None:
    if pod.reason == "Evicted":
        return Reason.EVICTED
    if pod.reason == "NodeLost":
        return Reason.NODE_LOST
    return _BY_DISRUPTION.get(pod.disruption)


def _failed(reason: Reason, message: str, report: ExitReport | None = None) -> Verdict:
    return Verdict(State.FAILED, reason, message, report)
