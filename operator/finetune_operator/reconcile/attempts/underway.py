"""What is to be said and done about an attempt while it is on its way; `follow` is the entry."""

from __future__ import annotations

from finetune_trainer.contract import TrainerPhase

from finetune_operator.api.v1alpha1.reasons import ConditionType, Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.manifests import names, volumes
from finetune_operator.reconcile import deadline, startup
from finetune_operator.reconcile.actions import Create, Decision, State, Verdict
from finetune_operator.reconcile.attempts import stopping
from finetune_operator.reconcile.attempts.history import Attempts, last_report, reason_of
from finetune_operator.reconcile.snapshot import InvalidSpec, PodFacts, Snapshot, Workload

RUNNING_RESYNC = 300.0
"""Seconds after which a started attempt that brings no news is looked at again: a watch may have lost some."""

WAITING_RESYNC = 1800.0
"""The same in seconds for attempts that have not started, of which a cluster may have thousands."""

LOOK_AGAIN_FOR_LAST_WORD = 1.0

_BEFORE_TRAINING = frozenset(
    {
        TrainerPhase.STARTING,
        TrainerPhase.VALIDATING_DATA,
        TrainerPhase.LOADING_MODEL,
        TrainerPhase.EVALUATING_BASELINE,
    }
)


def follow(seen: Snapshot, attempts: Attempts) -> Decision:
    """Return what to do about an attempt that has not ended and that nobody wants to end."""
    last = attempts[-1]
    workload = seen.workload_of(last.number)
    asked = reason_of(last)
    if asked is not None:  # it was being ended when that was taken back: it ends, and the next one resumes
        return stopping.stop(seen, attempts, asked, last.message or "")
    if workload is None or (workload.deleting and workload.finished_at is None):
        return stopping.vanish(seen, attempts)
    pods = seen.pods_of(last.number)
    if workload.finished_at is not None:
        return Decision(_progress(seen, workload, pods), requeue_after=LOOK_AGAIN_FOR_LAST_WORD)
    if not started(workload, pods) and not workload.suspended:
        left = deadline.seconds_to_start(seen, workload)
        if left is not None and left <= 0:
            return _too_late(seen, attempts, _waiting(seen, workload, pods))
    verdict = _progress(seen, workload, pods)
    return Decision(verdict, actions=_lost_claim(seen, verdict), requeue_after=_look_again(seen, attempts, workload))


def started(workload: Workload, pods: tuple[PodFacts, ...]) -> bool:
    """Whether all pods of an attempt have started: training waits for the last of them."""
    return len(pods) >= workload.pods and all(pod.started_at is not None for pod in pods)


def _too_late(seen: Snapshot, attempts: Attempts, stuck: Verdict) -> Decision:
    seconds = seen.profiles.trainer.start_deadline_seconds
    return stopping.stop(seen, attempts, stuck.reason, f"did not start within {seconds} s: {stuck.message}")


def _waiting(seen: Snapshot, workload: Workload, pods: tuple[PodFacts, ...]) -> Verdict:
    return startup.named(startup.waiting(pods, workload.pods, seen.trouble), seen.spec)


def _progress(seen: Snapshot, workload: Workload, pods: tuple[PodFacts, ...]) -> Verdict:
    if workload.suspended:
        queue = seen.spec.queue_name if isinstance(seen.spec, FineTuneJobSpec) else None
        return startup.queued(workload, queue, seen.trouble, last_report(seen))
    if not started(workload, pods):
        return _waiting(seen, workload, pods)
    report = last_report(seen)
    if seen.progress is None and (told := _at_work(seen, workload)) is not None:
        return Verdict(State.TRAINING, Reason.TRAINING, told, report)
    phase = seen.progress.phase if seen.progress else TrainerPhase.STARTING
    if phase in _BEFORE_TRAINING:
        return Verdict(State.STARTING, Reason.STARTING, f"the trainer is up: {phase.value}", report)
    return Verdict(State.TRAINING, Reason.TRAINING, f"the trainer is at work: {phase.value}", report)


def _at_work(seen: Snapshot, workload: Workload) -> str | None:
    """Return what status tells of an attempt that trains: an operator that has just begun has heard no trainer yet."""
    before = seen.previous
    if not before.attempts or before.attempts[-1].number != workload.attempt:
        return None
    running = (one for one in before.conditions if one.type == ConditionType.RUNNING and one.status == "True")
    return next((one.message for one in running if one.reason == Reason.TRAINING), None)


def _lost_claim(seen: Snapshot, verdict: Verdict) -> tuple[Create, ...]:
    """Return the job's own claim to make again, where somebody deleted it before the pod came to use it."""
    template = volumes.claim_template(seen.spec) if isinstance(seen.spec, FineTuneJobSpec) else None
    lost = f'persistentvolumeclaim "{names.work_claim(seen.meta.key)}" not found'
    if template is None or lost not in verdict.message:
        return ()
    nodes = seen.previous.plan.nodes if seen.previous.plan else None
    return (Create(volumes.work_claim(seen.meta.key, template, nodes=nodes or 1)),)


def _look_again(seen: Snapshot, attempts: Attempts, workload: Workload) -> float:
    """Return the seconds until something is due that no event tells."""
    begun = started(workload, seen.pods_of(workload.attempt))
    due = [RUNNING_RESYNC if begun else WAITING_RESYNC]
    if not isinstance(seen.spec, InvalidSpec):
        left = deadline.seconds_left(seen, seen.spec, attempts)
        due += [] if left is None or workload.suspended else [left]
    if not workload.suspended and not begun:
        left = deadline.seconds_to_start(seen, workload)
        due += [] if left is None else [left]
    return max(LOOK_AGAIN_FOR_LAST_WORD, min(due))
