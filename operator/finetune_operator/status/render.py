"""Renders the whole status of a job from what was seen, decided and done; `render` is the entry."""

from __future__ import annotations

from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import AttemptStatus, FineTuneJobStatus, ResultStatus
from finetune_operator.reconcile.actions import Decision, Result, State, Verdict
from finetune_operator.reconcile.snapshot import Snapshot
from finetune_operator.status import conditions, outcome, progress, summary


def render(seen: Snapshot, decision: Decision, result: Result) -> FineTuneJobStatus:
    """Return the status to write. An end, once written, stands, and so does what is said of a job that goes."""
    verdict = decision.verdict
    if verdict.state is State.DELETING:
        return seen.previous
    if verdict.state is State.FINISHED_BEFORE:
        return _looked_at(seen.previous, seen.meta.generation)
    plan = outcome.plan_status(decision.plan) if decision.plan else seen.previous.plan
    now = progress.progress(seen, verdict)
    checkpoint = progress.checkpoint(seen, result)
    refused = result.refused is not None and verdict.state not in conditions.ENDS
    running = conditions.running(verdict, result)
    begun = () if refused or decision.begun is None else (decision.begun,)
    attempts = (*decision.attempts, *begun)
    return FineTuneJobStatus(
        observed_generation=seen.meta.generation,
        phase=summary.PHASES[verdict.state],
        message=conditions.refusal(result) if refused else verdict.message,
        conditions=conditions.conditions(seen, verdict, result, checkpoint),
        start_time=_start_time(seen, attempts),
        completion_time=_completion_time(seen, verdict, attempts),
        plan=plan,
        model_shape=decision.shape or seen.previous.model_shape,
        progress=now,
        checkpoint=checkpoint,
        attempts=attempts,
        result=_result(seen, verdict),
        columns=summary.columns(now, plan, _reason(verdict, running), attempts[-1].number if attempts else None),
    )


def _looked_at(end: FineTuneJobStatus, generation: int) -> FineTuneJobStatus:
    """Return an end as one that holds for this spec too: kstatus waits for ever for a job that was not looked at."""
    if end.observed_generation == generation:
        return end
    held = tuple(one.model_copy(update={"observed_generation": generation}) for one in end.conditions)
    return end.model_copy(update={"observed_generation": generation, "conditions": held})


def _reason(verdict: Verdict, running: conditions.Observation) -> str:
    return verdict.reason.value if verdict.state in conditions.ENDS else running.reason.value


def _start_time(seen: Snapshot, attempts: tuple[AttemptStatus, ...]) -> str | None:
    started = (attempt.start_time for attempt in attempts if attempt.start_time is not None)
    return seen.previous.start_time or next(started, None)


def _completion_time(seen: Snapshot, verdict: Verdict, attempts: tuple[AttemptStatus, ...]) -> str | None:
    """Return when the job ended: with its last attempt where it ended by that, else now."""
    if verdict.state not in conditions.ENDS:
        return None
    before = {attempt.number for attempt in seen.previous.attempts if attempt.end_time is not None}
    ended = next((one.end_time for one in attempts[-1:] if one.number not in before), None)
    return ended or timestamps.write(seen.now)


def _result(seen: Snapshot, verdict: Verdict) -> ResultStatus | None:
    if verdict.state is not State.SUCCEEDED or verdict.report is None or not isinstance(seen.spec, FineTuneJobSpec):
        return None
    return outcome.result_status(seen.meta.key, seen.spec, verdict.report)
