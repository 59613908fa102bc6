"""A quarter of an hour of a fleet on GPUs, measured by the operator's and the trainer's own code on a made-up clock.

It stands in for what a machine without GPUs cannot record; what was recorded on a cluster lies beside it.
Jobs: `good` runs in two pods and succeeds, `hungry` runs out of memory once, `paused` is suspended and resumed,
`moved` is preempted, `broken` has bad data, `early` waits for its claim, `frozen` stops making steps, `diverged` loses
its loss.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types

from builders import a_job
from finetune_operator.api import timestamps
from finetune_operator.api.identity import JobKey, JobMeta
from finetune_operator.api.v1alpha1.reasons import Phase
from finetune_operator.api.v1alpha1.status import AttemptStatus, CheckpointStatus, FineTuneJobStatus, ProgressStatus
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import Profiles
from finetune_operator.status.outcome import plan_status
from finetune_operator.telemetry.instruments import exposition
from finetune_operator.telemetry.jobs import ConditionView, EndView, JobsCollector, JobView, PodView
from finetune_operator.telemetry.process import Telemetry
from finetune_trainer.contract import JobIdentity, TrainerPhase
from finetune_trainer.contract import metrics as table
from finetune_trainer.reporting.metrics import Metrics
from neighbours import add
from samples import Recording

START = 1_790_000_000.0
SECONDS = 900
STEP = 10
TEAM = "team"
OPERATOR = {
    "job": "finetune-operator-metrics",
    "instance": "10.244.0.7:8080",
    "namespace": "finetune-system",
    "pod": "finetune-operator-7c9f6d5b4-abcde",
    "container": "operator",
    "endpoint": "metrics",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Spell:
    """What a job does for a while, in seconds from the start; `steps` from which to which.

    `reason` is that of the phase; while an attempt is followed by another, the reason why it ended.
    """

    start: float
    end: float
    phase: Phase
    reason: str
    attempt: int | None = None
    steps: tuple[int, int] | None = None


STORIES = {
    "good": (
        Spell(10, 30, Phase.PENDING, "PodPending"),
        Spell(30, 60, Phase.STARTING, "Starting", 1, (0, 0)),
        Spell(60, 500, Phase.RUNNING, "Training", 1, (0, 220)),
        Spell(500, 900, Phase.SUCCEEDED, "Succeeded", 1, (220, 220)),
    ),
    "hungry": (
        Spell(20, 45, Phase.PENDING, "PodPending"),
        Spell(45, 140, Phase.RUNNING, "Training", 1, (0, 50)),
        Spell(140, 160, Phase.RESTARTING, "GPUOutOfMemory", 1, (50, 50)),
        Spell(160, 700, Phase.RUNNING, "Training", 2, (40, 300)),
        Spell(700, 900, Phase.SUCCEEDED, "Succeeded", 2, (300, 300)),
    ),
    "paused": (
        Spell(30, 50, Phase.PENDING, "PodPending"),
        Spell(50, 300, Phase.RUNNING, "Training", 1, (0, 100)),
        Spell(300, 450, Phase.SUSPENDED, "Suspended", 1, (100, 100)),
        Spell(450, 900, Phase.RUNNING, "Training", 2, (100, 280)),
    ),
    "moved": (
        Spell(35, 55, Phase.PENDING, "PodPending"),
        Spell(55, 250, Phase.RUNNING, "Training", 1, (0, 90)),
        Spell(250, 280, Phase.RESTARTING, "Preempted", 1, (90, 90)),
        Spell(280, 900, Phase.RUNNING, "Training", 2, (80, 290)),
    ),
    "broken": (
        Spell(40, 60, Phase.PENDING, "PodPending"),
        Spell(60, 75, Phase.STARTING, "Starting", 1, (0, 0)),
        Spell(75, 900, Phase.FAILED, "DataInvalid", 1, (0, 0)),
    ),
    "diverged": (
        Spell(40, 60, Phase.PENDING, "PodPending"),
        Spell(60, 300, Phase.RUNNING, "Training", 1, (0, 90)),
        Spell(300, 900, Phase.FAILED, "NonFiniteLoss", 1, (90, 90)),
    ),
    "early": (Spell(50, 900, Phase.PENDING, "ClaimNotFound"),),
    "frozen": (
        Spell(55, 80, Phase.PENDING, "PodPending"),
        Spell(80, 200, Phase.RUNNING, "Training", 1, (0, 60)),
        Spell(200, 900, Phase.RUNNING, "Training", 1, (60, 60)),
    ),
}
HOLDS = {Phase.STARTING, Phase.RUNNING}
TOTAL = 300
PLAN = plan_status(plan(a_job(), Profiles())).model_copy(update={"accelerator": "nvidia-l4", "method": "qlora"})


def rehearse() -> Recording:
    """Return the recording, the same each time but for process_*."""
    stage, recording = Stage(), Recording()
    for second in range(0, SECONDS + 1, STEP):
        stage.go(float(second))
        now = START + second
        recording.add(stage.exposition(), OPERATOR, now)
        recording.up(OPERATOR, now, answers=True)
        for pod, trainer in stage.trainers.items():
            target = {"job": "finetune/trainers", "instance": f"{pod}:8080", "namespace": TEAM, "pod": pod}
            recording.add(trainer.exposition()[0].decode(), target, now)
            recording.up(target, now, answers=True)
    add(recording, broken="hungry-1", idle="frozen")
    return recording


class Stage:
    """The fleet at a moment."""

    def __init__(self) -> None:
        self.second = 0.0
        self.telemetry = Telemetry("1.45.2")
        self.trainers: dict[str, Metrics] = {}
        self._was: dict[str, FineTuneJobStatus] = {}
        collector = JobsCollector(
            self._views, max_jobs=500, prices={"nvidia-l4": 0.8048}, clock=lambda: START + self.second
        )
        self.telemetry.registry.register(collector)

    def exposition(self) -> str:
        """Return what the operator serves, as if its process had started just before."""
        text = exposition(self.telemetry.registry, "")[0].decode()
        return re.sub(r"(?m)^process_start_time_seconds .*$", f"process_start_time_seconds {START - 5}", text)

    def go(self, second: float) -> None:
        """Let time pass until this second."""
        self.second = second
        self.telemetry.watched("finetunejobs", START + second, {"metadata": {"managedFields": [_changed(second)]}})
        self.telemetry.lagged(0.002)
        self.telemetry.in_flight(1, int(second) % 3)
        for name in STORIES:
            if (spell := _spell(name, second)) is not None:
                self._reconcile(name, spell)
                self._train(name, spell)

    def _reconcile(self, name: str, spell: Spell) -> None:
        self.telemetry.queued(0.001)
        failing = 100 <= self.second < 200
        self.telemetry.reconciled("error" if failing and self.second % 20 else "success", 0.02)
        self.telemetry.requested("apply", "finetunejobs", 429 if failing else 200, 0.015)
        if failing:
            self.telemetry.unhandled(KeyError())
            self.telemetry.rewatched("pods", "gone")
        status = _status(name, spell, self.second)
        before = self._was.get(name, FineTuneJobStatus())
        if status != before:
            created = START + STORIES[name][0].start
            meta = JobMeta(JobKey(TEAM, name, name), generation=1, created_at=created, deleting=False)
            seen = types.SimpleNamespace(previous=before, meta=meta, now=START + self.second)
            self.telemetry.moved(seen, status)
            self._was[name] = status

    def _train(self, name: str, spell: Spell) -> None:
        pod = f"{name}-{spell.attempt}-x"
        for other in [known for known in self.trainers if known.startswith(f"{name}-")]:
            if other[:-1] != pod[:-1] or spell.phase not in HOLDS:
                del self.trainers[other]
        if spell.phase is not Phase.RUNNING or spell.steps is None:
            return
        identity = JobIdentity(namespace=TEAM, name=name, uid=name, attempt=spell.attempt or 1)
        metrics = self.trainers.setdefault(pod, Metrics(identity))
        metrics.entered(TrainerPhase.TRAINING, START + spell.start)
        step = _step(spell, self.second)
        made = max(0, step - _step(spell, self.second - STEP))
        _learn(metrics, step)
        if made:
            metrics.set(table.LAST_STEP.name, START + self.second)
        for _ in range(made):
            _step_of(metrics)
        if made and step % 40 < made:
            metrics.count_checkpoint("succeeded")
            metrics.add(table.CHECKPOINT_BYTES.name, 5.2e7)
        if name == "good":
            other = self.trainers.setdefault(f"{name}-{spell.attempt}-y", Metrics(identity, of_all=False))
            other.set(table.GPU_MEMORY.name, 1.4e10, "0")
        if name == "diverged" and step >= 80:
            metrics.add(table.NONFINITE.name)
        if name == "frozen" and not made:
            metrics.count_checkpoint("failed")

    def _views(self) -> tuple[JobView, ...]:
        found = ((name, _spell(name, self.second)) for name in STORIES)
        return tuple(_view(name, spell, self.second) for name, spell in found if spell is not None)


def _learn(metrics: Metrics, step: int) -> None:
    loss = 2.2 * math.exp(-step / 90) + 0.35 + 0.04 * math.sin(step * 1.7)
    for metric, value in (
        (table.LOSS, loss),
        (table.EVAL_LOSS, 2.3 * math.exp(-(step - step % 20) / 95) + 0.42 if step >= 20 else None),
        (table.LEARNING_RATE, 2e-4 * (1 - step / TOTAL)),
        (table.GRAD_NORM, 0.8 + 0.3 * math.sin(step)),
        (table.EPOCH, step / 100),
        (table.TOKEN_ACCURACY, 1 - loss / 4),
        (table.PEAK_FLOPS, 121e12),
        (table.CHECKPOINT_INTERVAL, 60.0),
    ):
        metrics.set(metric.name, value)
    metrics.set(table.GPU_MEMORY.name, 1.5e10, "0")


def _step_of(metrics: Metrics) -> None:
    metrics.add(table.STEPS.name)
    metrics.add(table.TOKENS.name, 4096)
    metrics.add(table.SAMPLES.name, 8)
    metrics.add(table.FLOPS.name, 4096 * 15.3e9)
    metrics.observe_step(1.9)
    for phase, seconds in (("data", 0.06), ("forward", 0.6), ("backward", 1.1), ("optimizer", 0.2)):
        metrics.observe_phase(phase, seconds)


def _spell(name: str, second: float) -> Spell | None:
    return next((spell for spell in reversed(STORIES[name]) if second >= spell.start), None)


def _step(spell: Spell, second: float) -> int:
    first, last = spell.steps or (0, 0)
    part = (second - spell.start) / (spell.end - spell.start)
    return first + int((last - first) * max(0.0, min(1.0, part)))


def _attempts(name: str, second: float) -> tuple[AttemptStatus, ...]:
    found: dict[int, AttemptStatus] = {}
    for spell in STORIES[name]:
        if second < spell.start or spell.attempt is None:
            continue
        held = spell.phase in HOLDS
        known = found.get(spell.attempt)
        start = known.start_time if known else timestamps.write(START + spell.start)
        end = None if held else (known.end_time if known and known.end_time else timestamps.write(START + spell.start))
        found[spell.attempt] = AttemptStatus(
            number=spell.attempt,
            job=f"{name}-{spell.attempt}",
            start_time=start,
            end_time=end,
            reason=None if held else spell.reason,
            resumed_from_step=spell.steps[0] if spell.attempt > 1 and spell.steps else None,
        )
    return tuple(found.values())


def _status(name: str, spell: Spell, second: float) -> FineTuneJobStatus:
    attempts, step = _attempts(name, second), _step(spell, second)
    ended = spell.phase in {Phase.SUCCEEDED, Phase.FAILED}
    first = attempts[0].start_time if attempts else None
    condition = {
        "type": "Finished",
        "status": "True" if ended else "False",
        "lastTransitionTime": timestamps.write(START + spell.start),
        "reason": spell.reason if ended else "Active",
        "message": "",
        "observedGeneration": 1,
    }
    return FineTuneJobStatus.model_validate(
        {
            "observedGeneration": 1,
            "phase": spell.phase,
            "plan": PLAN,
            "attempts": attempts,
            "conditions": [condition],
            "startTime": first,
            "completionTime": timestamps.write(START + spell.start) if ended else None,
            "progress": ProgressStatus(phase="Training", percent=0, step=step, updated_at=timestamps.write(START)),
            "checkpoint": CheckpointStatus(step=step - step % 40, resumable=True) if step >= 40 else None,
        }
    )


def _conditions(spell: Spell) -> tuple[ConditionView, ...]:
    def one(kind: str, holds: bool, reason: str = "Active") -> ConditionView:  # noqa: FBT001
        return ConditionView(kind, "True" if holds else "False", spell.reason if holds else reason)

    failed, done = spell.phase is Phase.FAILED, spell.phase is Phase.SUCCEEDED
    found = [
        one("Running", spell.phase in HOLDS, "Restarting" if spell.phase is Phase.RESTARTING else spell.reason),
        one("Suspended", spell.phase is Phase.SUSPENDED),
        one("Finished", failed or done),
        one("Succeeded", done),
    ]
    return (*found, *([one("Stalled", failed)] if failed else ()))


def _view(name: str, spell: Spell, second: float) -> JobView:
    attempts, step, held = _attempts(name, second), _step(spell, second), spell.phase in HOLDS
    ended = spell.phase in {Phase.SUCCEEDED, Phase.FAILED}
    started = timestamps.parse(attempts[0].start_time) if attempts and attempts[0].start_time else None
    left = (TOTAL - step) * 2.0
    return JobView(
        namespace=TEAM,
        name=name,
        uid=name,
        phase=spell.phase,
        task="chat",
        method="qlora",
        base_model="microsoft/Phi-3-mini-4k-instruct",
        dataset_kind="claim",
        gpu_type="nvidia-l4",
        queue="gpus" if name == "paused" else "",
        created=START + STORIES[name][0].start,
        admitted=started,
        started=started,
        finished=START + spell.start if ended else None,
        progress=step / TOTAL if attempts else None,
        eta=START + second + left if held and step else None,
        step=step if attempts else None,
        attempt=attempts[-1].number if attempts else None,
        ended=_ended(attempts),
        gpus=1 if held else 0,
        wanted=0 if ended or spell.phase is Phase.SUSPENDED else 1,
        used=_used(attempts) if attempts else None,
        holds_since=timestamps.parse(attempts[-1].start_time) if held and attempts else None,
        checkpoint=START + second - (step % 40) * 2 if step >= 40 and name != "frozen" else None,
        conditions=_conditions(spell),
        pods=_pods(name, spell) if held else (),
    )


def _pods(name: str, spell: Spell) -> tuple[PodView, ...]:
    first, second = PodView(f"{name}-{spell.attempt}-x", "node-a", 0), PodView(f"{name}-{spell.attempt}-y", "node-b", 1)
    return (first, second) if name == "good" else (first,)


def _ended(attempts: tuple[AttemptStatus, ...]) -> EndView | None:
    over = ((one.reason, one.end_time) for one in reversed(attempts))
    return next((EndView(reason, timestamps.parse(end)) for reason, end in over if reason and end), None)


def _used(attempts: tuple[AttemptStatus, ...]) -> float:
    over = [(one.start_time, one.end_time) for one in attempts]
    return sum(timestamps.parse(end) - timestamps.parse(start) for start, end in over if start and end)


def _changed(second: float) -> dict[str, str]:
    return {"time": timestamps.write(START + second - 1)}
