"""Renders the whole status of a job from what was seen, decided and done; `render` is the entry."""

from __future__ import annotations

from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import AttemptStatus, FineTuneJobStatus, ResultStatus
from finetune_operator.reconcile.actions import Decision, Result, State, Verdict
from finetune_operator.reconcile.snapshot import Snapshot
from finetune_operator.status import conditions, outcome, progress, summary

UNCHANGED = frozenset({State.FINISHED_BEFORE, State.DELETING})


def render(seen: Snapshot, decision: Decision, result: Result) -> FineTuneJobStatus:
    """Return the status to write. An end, once written, is returned as it stands."""
    verdict = decision.verdict
    if verdict.state in UNCHANGED:
        return seen.previous
    plan = outcome.plan_status(decision.plan) if decision.plan else seen.previous.plan
    now = progress.progress(seen, verdict)
    checkpoint = progress.checkpoint(seen, verdict.report)
    refused = result.refused is not None
    running = conditions.running(verdict, result)
    attempts = _attempts(seen, verdict)
    return FineTuneJobStatus(
        observed_generation=seen.meta.generation,
        phase=summary.PHASES[verdict.state],
        message=conditions.refusal(result) if refused else verdict.message,
        conditions=conditions.conditions(seen, verdict, result, checkpoint),
        start_time=_start_time(seen),
        completion_time=_completion_time(seen, verdict),
        plan=plan,
        progress=now,
        checkpoint=checkpoint,
        attempts=attempts,
        result=_result(seen, verdict),
        columns=summary.columns(now, plan, _reason(verdict, running), attempts[-1].number if attempts else None),
    )


def _reason(verdict: Verdict, running: conditions.Observation) -> str:
    return verdict.reason.value if verdict.state in conditions.ENDS else running.reason.value


def _start_time(seen: Snapshot) -> str | None:
    if seen.previous.start_time is None and seen.pod and seen.pod.started_at is not None:
        return timestamps.write(seen.pod.started_at)
    return seen.previous.start_time


def _completion_time(seen: Snapshot, verdict: Verdict) -> str | None:
    if verdict.state not in conditions.ENDS:
        return None
    ended = seen.workload.finished_at if seen.workload else None
    return timestamps.write(ended if ended is not None else seen.now)


def _attempts(seen: Snapshot, verdict: Verdict) -> tuple[AttemptStatus, ...]:
    if seen.workload is None:
        return seen.previous.attempts
    pod, ending = seen.pod, seen.pod.ending if seen.pod else None
    resumed = verdict.report.resumed_from_step if verdict.report else None
    if resumed is None and seen.progress:
        resumed = seen.progress.resumed_from_step
    current = AttemptStatus(
        number=seen.workload.attempt,
        job=seen.workload.name,
        start_time=timestamps.write(pod.started_at) if pod and pod.started_at is not None else None,
        end_time=timestamps.write(ending.finished_at) if ending else None,
        reason=verdict.reason.value if verdict.state in conditions.ENDS else None,
        resumed_from_step=resumed,
    )
    earlier = tuple(attempt for attempt in seen.previous.attempts if attempt.number != current.number)
    return (*earlier, current)


def _result(seen: Snapshot, verdict: Verdict) -> ResultStatus | None:
    if verdict.state is not State.SUCCEEDED or verdict.report is None or not isinstance(seen.spec, FineTuneJobSpec):
        return None
    return outcome.result_status(seen.meta.key, seen.spec, verdict.report)
