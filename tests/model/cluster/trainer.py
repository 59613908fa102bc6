"""A trainer as the operator meets it: it resumes, steps, saves, reports, and ends with a code and a last word.

Not here: pods (`cluster.nodes`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from cluster.objects import Body
from finetune_operator.api import keys
from finetune_trainer.contract import (
    EXIT_CODES,
    SCHEMA_VERSION,
    Artifact,
    ExitCode,
    ExitReport,
    FailureReason,
    InspectionReport,
    Outcome,
    Progress,
    TrainerPhase,
    TrainerRun,
    from_json,
    to_json,
)

OOM_KILLED, TERMINATED = 137, 143
STEPS_TO_EXPORT = 1
NUMBERS: dict[str, str | int | float | bool] = {
    "model_type": "bert",
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "vocab_size": 30522,
    "max_position_embeddings": 512,
}
"""What a config.json has of all-MiniLM-L6-v2."""

ADAPTER = Artifact(kind="adapter", path="adapter", bytes=1, sha256="0" * 64)


@functools.lru_cache(maxsize=4096)
def _read(text: str) -> TrainerRun:
    return from_json(TrainerRun, text)


def run_of(pod: Body) -> TrainerRun:
    """Return what a pod was told to do."""
    return _read(pod["metadata"]["annotations"][keys.ANNOTATION_RUN])


@dataclass(frozen=True, slots=True)
class Ending:
    """How the process ended; `message` is its termination message."""

    code: int
    reason: str = "Error"
    message: str = ""


@dataclass
class Volume:
    """What is kept of one job's training: the newest checkpoint's step, None before the first."""

    step: int | None = None
    history: list[int] = field(default_factory=list)

    def save(self, step: int) -> None:
        self.step = step
        self.history.append(step)


class Reader:
    """The process that reads a model's numbers before the job is planned: over in a step, and it saves nothing."""

    step = age = 0

    def __init__(self, *, found: bool) -> None:
        self.report = InspectionReport(config=NUMBERS) if found else InspectionReport(problem="does not exist")

    def work(self) -> Ending:
        """Tell the numbers, or that there are none: either is an answer."""
        return Ending(ExitCode.SUCCEEDED, "Completed", to_json(self.report))

    def told_to_stop(self) -> Ending:
        """SIGTERM ends it."""
        return Ending(TERMINATED)

    def fails(self, _reason: FailureReason) -> Ending:
        """End by a volume that does not answer."""
        return Ending(ExitCode.TRAINER_ERROR, message="OSError: [Errno 5] Input/output error")


class Trainer:
    """The process of rank 0, or of another rank, which only keeps up."""

    def __init__(self, run: TrainerRun, volume: Volume, *, rank: int, fits: int | None) -> None:
        self.run, self.volume, self.rank = run, volume, rank
        self.resumed = volume.step
        self.step = volume.step or 0
        self.total = run.training.max_steps or 6
        self.fits = fits
        self.age = 0
        """Steps of its own, loading included."""
        self.phase = TrainerPhase.LOADING_MODEL

    @property
    def batch(self) -> int:
        """The effective batch: rows that one optimizer step learns from."""
        shared = self.run.distribution
        ranks = shared.nodes * shared.processes_per_node
        return self.run.training.micro_batch_size * self.run.training.gradient_accumulation_steps * ranks

    def work(self) -> Ending | None:
        """Go one step; return how the process ended, if it did."""
        self.age += 1
        if self.phase is TrainerPhase.LOADING_MODEL:
            self.phase = TrainerPhase.TRAINING
            return None
        if self.fits is not None and self.run.training.micro_batch_size > self.fits:
            return Ending(OOM_KILLED, "OOMKilled")
        if self.step >= self.total:
            self.phase = TrainerPhase.DONE
            return self._end(ExitCode.SUCCEEDED, "Completed", outcome=Outcome.SUCCEEDED, artifacts=(ADAPTER,))
        self.step += 1
        every = self.run.checkpoints.every_steps or 2
        if self.rank == 0 and (self.step % every == 0 or self.step == self.total):
            self.volume.save(self.step)
        return None

    def told_to_stop(self) -> Ending:
        """SIGTERM: save what there is, and go."""
        if self.rank == 0 and self.phase is TrainerPhase.TRAINING and self.step > (self.volume.step or 0):
            self.volume.save(self.step)
        return self._end(ExitCode.SUSPENDED, "Error", outcome=Outcome.SUSPENDED)

    def fails(self, reason: FailureReason) -> Ending:
        """End for a reason that the trainer knows and tells."""
        return self._end(EXIT_CODES[reason], "Error", outcome=Outcome.FAILED, reason=reason, message="what went wrong")

    def progress(self, now: float) -> Progress:
        """What it answers when it is asked."""
        return Progress(
            schema_version=SCHEMA_VERSION,
            attempt=self.run.job.attempt,
            phase=self.phase,
            step=self.step,
            total_steps=self.total,
            percent=100 * self.step // self.total,
            checkpoint_step=self.volume.step,
            resumed_from_step=self.resumed,
            updated_at=now,
        )

    def _end(self, code: ExitCode, word: str, **fields: object) -> Ending:
        report = ExitReport(
            schema_version=SCHEMA_VERSION,
            attempt=self.run.job.attempt,
            step=self.step,
            total_steps=self.total,
            checkpoint_step=self.volume.step,
            resumed_from_step=self.resumed,
            **fields,  # type: ignore[arg-type]
        )
        return Ending(int(code), word, to_json(report))
