"""Builds jobs and what was seen of them, in words: `a_job(task="chat")`, `seen(job, pod=a_pod(exit_code=10))`."""

from __future__ import annotations

import dataclasses
import typing

from finetune_operator.api import timestamps
from finetune_operator.api.identity import JobKey, JobMeta
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import AttemptStatus, FineTuneJobStatus
from finetune_operator.planning.profiles import Profiles
from finetune_operator.reconcile.actions import Result
from finetune_operator.reconcile.decide import decide
from finetune_operator.reconcile.snapshot import Ending, InvalidSpec, PodFacts, Snapshot, Workload
from finetune_operator.status.render import render
from finetune_trainer.contract import ExitReport, FailureReason, Outcome, Progress, TrainerPhase, to_json

KEY = JobKey("team", "reviews", "11111111-2222-3333-4444-555555555555")
NOW = 1_800_000_000.0
CREATED = NOW - 30
ROWS = {"median": 300, "p95": 900, "max": 4000, "rows": 10_000}


def a_job(**fields: typing.Any) -> FineTuneJobSpec:
    """The smallest job, with top-level fields added or replaced."""
    smallest = {
        "model": {"name": "all-MiniLM-L6-v2", "source": {"claim": {"name": "samples", "path": "models/minilm"}}},
        "task": "text-classification",
        "dataset": {"source": {"claim": {"name": "samples", "path": "reviews.jsonl"}}},
    }
    return FineTuneJobSpec.model_validate(smallest | fields)


def chatting(
    accelerator: str = "nvidia-a100-80gb",
    model: str = "phi-3-mini",
    rows: dict[str, int] = ROWS,
    **fields: typing.Any,
) -> dict[str, typing.Any]:
    """Give the fields of a chat job on a GPU, with what is known of its rows."""
    dataset = {"source": {"claim": {"name": "data", "path": "chat.jsonl"}}, "tokens": rows}
    hardware = {"accelerator": accelerator} | fields.pop("hardware", {})
    return {"model": {"name": model}, "task": "chat", "dataset": dataset, "hardware": hardware} | fields


def a_workload(**facts: typing.Any) -> Workload:
    """The first attempt's Job, active unless told otherwise."""
    number = facts.get("attempt", 1)
    active = Workload(
        name=f"reviews-abcde-{number}",
        uid=f"job-{number}",
        attempt=number,
        pods=1,
        created_at=CREATED,
        started_at=CREATED,
        suspended=False,
        suspended_at=None,
        suspended_message="",
        complete=False,
        failed_reason=None,
        failed_message="",
        finished_at=None,
        deleting=False,
        rung=0,
        memory_raises=0,
        change=None,
    )
    return dataclasses.replace(active, **facts)


def a_pod(**facts: typing.Any) -> PodFacts:
    """A pod that waits for nothing yet; `running=True` or an `ending` move it on."""
    if facts.pop("running", False):
        facts.setdefault("started_at", NOW - 20)
        facts.setdefault("phase", "Running")
    number, rank = facts.get("attempt", 1), facts.get("rank", 0)
    waiting = PodFacts(
        name=f"reviews-abcde-{number}-{rank}",
        uid=f"pod-{number}-{rank}",
        attempt=number,
        rank=rank,
        phase="Pending",
        node="",
        ip="10.0.0.7",
        reason="",
        message="",
        unschedulable="",
        disruption="",
        waiting_reason="",
        waiting_message="",
        created_at=CREATED,
        started_at=None,
        ending=None,
    )
    return dataclasses.replace(waiting, **facts)


def ended(
    exit_code: int,
    *,
    report: ExitReport | None = None,
    reason: str = "Error",
    message: str = "",
    **facts: typing.Any,
) -> PodFacts:
    """A pod whose container ended, with a report or any other termination message."""
    said = to_json(report) if report else message
    phase = "Failed" if exit_code else "Succeeded"
    usual = {"phase": phase, "started_at": NOW - 20, "ending": Ending(exit_code, reason, said, NOW - 1)}
    return a_pod(**(usual | facts))


def an_attempt(number: int = 1, **fields: typing.Any) -> AttemptStatus:
    """An attempt as status remembers it: under way, or ended with a `reason` just now."""
    ends = {"end_time": timestamps.write(NOW - 1)} if "reason" in fields else {}
    return AttemptStatus(**({"number": number, "job": f"reviews-abcde-{number}"} | ends | fields))


def remembered(*attempts: AttemptStatus, **fields: typing.Any) -> FineTuneJobStatus:
    """The status of a job that was seen before."""
    return FineTuneJobStatus(observed_generation=1, attempts=attempts, **fields)


def a_report(**fields: typing.Any) -> ExitReport:
    """The report of a run that went well."""
    well: dict[str, typing.Any] = {
        "outcome": Outcome.SUCCEEDED,
        "message": "accuracy 0.53 -> 0.84",
        "step": 100,
        "total_steps": 100,
        "checkpoint_step": 100,
        "metrics_before": {"accuracy": 0.53, "loss": 0.7},
        "metrics_after": {"accuracy": 0.84, "loss": 0.4},
        "final_loss": 0.41,
    }
    return ExitReport(**(well | fields))


def a_failure(reason: FailureReason, message: str = "what went wrong", **fields: typing.Any) -> ExitReport:
    """The report of a run that failed."""
    return ExitReport(outcome=Outcome.FAILED, reason=reason, message=message, **fields)


def seen(spec: FineTuneJobSpec | InvalidSpec | None = None, **facts: typing.Any) -> Snapshot:
    """What was seen of a job: nothing but the job itself, unless told otherwise.

    `workload` and `pod` stand for `workloads` and `pods` of one.
    """
    deleting, age = facts.pop("deleting", False), facts.pop("age", 5)
    for one in ("workload", "pod"):
        if one in facts:
            found = facts.pop(one)
            facts[f"{one}s"] = () if found is None else (found,)
    bare = Snapshot(
        meta=JobMeta(KEY, generation=1, created_at=NOW - age, deleting=deleting),
        spec=spec or a_job(),
        previous=FineTuneJobStatus(),
        profiles=Profiles(),
        now=NOW,
    )
    return dataclasses.replace(bare, **facts)


def at_step(step: int, **fields: typing.Any) -> Progress:
    """A trainer's word in mid-training."""
    return Progress(**({"phase": TrainerPhase.TRAINING, "step": step, "total_steps": 100, "percent": step} | fields))


def status_of(snapshot: Snapshot, result: Result | None = None) -> FineTuneJobStatus:
    """The status that a pass over this snapshot writes."""
    return render(snapshot, decide(snapshot), result or Result())
