"""How far training is, from the trainer's live word, its last word, or what was known before."""

from __future__ import annotations

from finetune_trainer.contract import Progress, TrainerPhase

from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1.status import CheckpointStatus, ProgressStatus
from finetune_operator.reconcile.actions import Result, State, Verdict
from finetune_operator.reconcile.attempts import saved
from finetune_operator.reconcile.attempts.history import last_report
from finetune_operator.reconcile.snapshot import Snapshot

COMPLETE = 100


def progress(seen: Snapshot, verdict: Verdict) -> ProgressStatus | None:
    """Return the progress to show."""
    live = _latest(seen)
    known = _live(live) if live else seen.previous.progress
    report = verdict.report
    if report is None or report.total_steps is None:
        return known
    done = verdict.state is State.SUCCEEDED
    return ProgressStatus(
        phase=TrainerPhase.DONE.value if done else (known.phase if known else TrainerPhase.TRAINING.value),
        percent=COMPLETE if done else (known.percent if known else 0),
        step=report.step,
        total_steps=report.total_steps,
        epoch=known.epoch if known else None,
        loss=report.final_loss if report.final_loss is not None else (known.loss if known else None),
        eval_loss=report.metrics_after.get("loss", known.eval_loss if known else None),
        learning_rate=known.learning_rate if known else None,
        tokens_per_second=known.tokens_per_second if known else None,
        eta_seconds=0 if done else None,
        peak_memory_bytes=report.peak_memory_bytes,
        updated_at=timestamps.write(seen.pod.ending.finished_at if seen.pod and seen.pod.ending else seen.now),
    )


def checkpoint(seen: Snapshot, result: Result) -> CheckpointStatus | None:
    """Return the newest checkpoint known; none once what it was on is gone."""
    step, before = saved.newest(seen, seen.attempt), seen.previous.checkpoint
    if step is None or result.new_claim:
        return None
    if before is not None and before.step == step:
        return before
    ended = seen.pod.ending if seen.pod else None
    moment = ended.finished_at if ended and ended.finished_at and last_report(seen) else seen.now
    return CheckpointStatus(step=step, time=timestamps.write(moment), resumable=not saved.ephemeral(seen.spec))


def _latest(seen: Snapshot) -> Progress | None:
    """Return the trainer's live word, unless it left a later one: in its pod, or in what was told of its attempt."""
    said, pod = seen.progress, seen.pod
    if said is None or any(one.number == said.attempt and one.end_time for one in seen.previous.attempts):
        return None
    return None if pod is not None and pod.attempt == said.attempt and last_report(seen) is not None else said


def _live(said: Progress) -> ProgressStatus:
    return ProgressStatus(
        phase=said.phase.value,
        percent=said.percent,
        step=said.step,
        total_steps=said.total_steps,
        epoch=said.epoch,
        loss=said.loss,
        eval_loss=said.eval_loss,
        learning_rate=said.learning_rate,
        tokens_per_second=said.tokens_per_second,
        eta_seconds=said.eta_seconds,
        peak_memory_bytes=said.peak_memory_bytes,
        updated_at=timestamps.write(said.updated_at),
    )
