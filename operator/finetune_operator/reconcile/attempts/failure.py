"""Why an attempt failed: from the trainer's own report, else from exit code, container, pod and Job, in this order.

Of several pods the one counts that failed by itself: the others break off because of it.
Not here: what follows from it (`reconcile.attempts.retry`).
"""

from __future__ import annotations

import math
import typing

from finetune_trainer import contract
from finetune_trainer.contract import ExitCode, ExitReport, FailureReason, Outcome

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.reconcile.snapshot import Ending, PodFacts, Workload

DEADLINE_EXCEEDED = "DeadlineExceeded"
OOM_KILLED = "OOMKilled"
SIGKILL_EXIT = 137
SIGTERM_EXIT = 143

_BY_EXIT_CODE = {code.value: Reason(reason.value) for reason, code in contract.EXIT_CODES.items()}

_BY_DISRUPTION = {
    "PreemptionByScheduler": Reason.PREEMPTED,
    "EvictionByEvictionAPI": Reason.EVICTED,
    "TerminationByKubelet": Reason.EVICTED,
    "DeletionByTaintManager": Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
}

_BY_POD = {
    "Evicted": Reason.EVICTED,
    "UnexpectedAdmissionError": Reason.EVICTED,
    "NodeAffinity": Reason.EVICTED,
    "TopologyAffinityError": Reason.EVICTED,
    "Preempting": Reason.PREEMPTED,
    "NodeLost": Reason.NODE_LOST,
    "Shutdown": Reason.NODE_LOST,
    "NodeShutdown": Reason.NODE_LOST,
    "Terminated": Reason.NODE_LOST,
}
"""A kubelet's words for a pod that it ends or does not let in, some of which no condition goes with."""

OUT_OF = "OutOf"
"""What a kubelet's word begins with for a pod that found its node full: `OutOfcpu`, `OutOfnvidia.com/gpu`."""

CONTAINER_STATUS_UNKNOWN = "ContainerStatusUnknown"
"""A kubelet's word for a container that it does not find any more, such as after its node was restarted."""


class Cause(typing.NamedTuple):
    """Why an attempt ended, in a word and in a sentence; `report` is that of the pod which tells it."""

    reason: Reason
    message: str
    report: ExitReport | None = None


def cause(workload: Workload | None, pods: tuple[PodFacts, ...]) -> Cause:
    """Return why an attempt failed; its Job is None where somebody deleted it."""
    if workload is not None and workload.failed_reason == DEADLINE_EXCEEDED:
        return Cause(Reason.DEADLINE_EXCEEDED, "the job ran for longer than spec.activeDeadlineSeconds")
    causes = (found for pod in sorted(pods, key=_ended_at) for found in _causes(pod))
    told = min(causes, key=lambda one: one[0], default=None)
    if told is not None:
        return told[1]
    if workload is None:
        return Cause(Reason.INTERRUPTED, "its Job was deleted by hand")
    if not pods:
        return Cause(Reason.INTERRUPTED, f"the pod of {workload.name} was deleted and left no report")
    said = next((pod.message for pod in pods if pod.message), "") or workload.failed_message
    return Cause(Reason.UNKNOWN, said or "the pod left no trace of its end")


def exit_report(ending: Ending | None) -> ExitReport | None:
    """Return the trainer's report, or None where the termination message holds none."""
    if ending is None or not ending.message:
        return None
    try:
        return contract.from_json(ExitReport, ending.message)
    except contract.ContractError:
        return None


def _ended_at(pod: PodFacts) -> float:
    return pod.ending.finished_at if pod.ending else math.inf


def _causes(pod: PodFacts) -> typing.Iterator[tuple[int, Cause]]:
    """Return what a pod says about its end, each with its weight: the smaller, the nearer to the root of it."""
    ending, report = pod.ending, exit_report(pod.ending)
    if report is not None and report.outcome is Outcome.FAILED and report.reason is not None:
        # A trainer whose neighbour died, or whose child was killed, knows only that something broke.
        weight = 3 if report.reason is FailureReason.TRAINER_ERROR else 0
        yield weight, Cause(Reason(report.reason.value), report.message, report)
    if ending is not None and ending.reason == OOM_KILLED:
        words = "the pod needed more memory than its limit and was killed"
        yield 1, Cause(Reason.HOST_OUT_OF_MEMORY, words, report)
    full = Reason.EVICTED if pod.reason.startswith(OUT_OF) else None
    disrupted = full or _BY_POD.get(pod.reason) or _BY_DISRUPTION.get(pod.disruption)
    if disrupted is not None:
        words = pod.message or f"the pod was taken away by Kubernetes ({pod.disruption or pod.reason})"
        yield 2, Cause(disrupted, words, report)
    if ending is not None and ending.exit_code != ExitCode.SUCCEEDED:
        yield _by_exit_code(pod, ending, report)


def _by_exit_code(pod: PodFacts, ending: Ending, report: ExitReport | None) -> tuple[int, Cause]:
    if ending.exit_code == ExitCode.SUSPENDED:
        where = f" at step {report.checkpoint_step}" if report and report.checkpoint_step else ""
        words = f"the pod was stopped from outside; a checkpoint was saved{where}"
        return 5, Cause(Reason.INTERRUPTED, words, report)
    if pod.deleting and ending.exit_code in {SIGKILL_EXIT, SIGTERM_EXIT}:
        return 5, Cause(Reason.INTERRUPTED, "the pod was deleted and did not save in its grace period", report)
    if ending.reason == CONTAINER_STATUS_UNKNOWN:
        words = ending.message or "nobody knows what became of the container: it went with its node"
        return 2, Cause(Reason.NODE_LOST, words, report)
    reason = _BY_EXIT_CODE.get(ending.exit_code, Reason.UNKNOWN)
    said = ending.message.strip().splitlines()
    detail = f": {said[-1]}" if said and report is None else ""
    killed = " (killed)" if ending.exit_code == SIGKILL_EXIT else ""
    words = f"the trainer ended with exit code {ending.exit_code}{killed}{detail}; see its log"
    return 4, Cause(reason, words, report)
