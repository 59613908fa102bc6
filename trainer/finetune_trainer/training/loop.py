"""The loop around the library's trainer: measure, train from where the last attempt stopped, measure again.

Not here: what a checkpoint is on disk (`checkpoints.py`), what is reported meanwhile (`reporting/callback.py`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from finetune_trainer.adapters import registry as adapters
from finetune_trainer.contract import FailureReason, LoraSettings, TrainerPhase, TrainerRun
from finetune_trainer.distributed import engines
from finetune_trainer.process.attempt import Attempt
from finetune_trainer.process.failures import Suspended, TrainerFailure, classify
from finetune_trainer.reporting.callback import ReportingCallback, peak_memory_bytes
from finetune_trainer.reporting.history import Historian
from finetune_trainer.training import best
from finetune_trainer.training.callbacks import TIES, Baseline, Begin, Guard, Interrupted, NothingLeft, Saver, Trim
from finetune_trainer.training.checkpoints import Checkpoint, CheckpointStore, Search

EVALUATION_PREFIX = "eval"


def open_checkpoints(attempt: Attempt) -> tuple[CheckpointStore, Checkpoint | None]:
    """Open the job's checkpoints and pick the one to go on from.

    Raises:
        TrainerFailure: CheckpointCorrupt, when there are some and none is whole: beginning again would throw away
            work without asking. InvalidRun, when other processes or another engine wrote it than are here to read it.
    """
    run = attempt.run
    store = CheckpointStore(
        Path(run.checkpoints.directory), keep=run.checkpoints.keep, job_uid=run.job.uid, fingerprint=_fingerprint(run)
    )
    search = attempt.world.share(lambda: _look(store))
    for note in search.damaged:
        print(f"warning: {note}")
    if search.found is None:
        if search.damaged:
            message = f"{'; '.join(search.damaged)}; none is whole. Delete {store.directory} to begin again"
            raise TrainerFailure(FailureReason.CHECKPOINT_CORRUPT, message)
        return store, None
    _check_ties(search.found, run, store)
    step = search.found.step
    print(f"going on from step {step}")
    if search.damaged:
        attempt.journal.note(message=f"{'; '.join(search.damaged)}; went on from step {step}")
    attempt.journal.advance(step=step, checkpoint_step=step, resumed_from_step=step)
    return store, search.found


def measure_baseline(trainer: Any, attempt: Attempt, objective: Any, resumed: Checkpoint | None) -> None:
    """Measure the untouched model; a resumed attempt takes the numbers over, they cannot have changed."""
    trainable, total = adapters.parameters(trainer.model)
    attempt.journal.note(trainable_parameters=trainable, total_parameters=total)
    known = resumed.manifest.facts["metrics_before"] if resumed else {}
    attempt.journal.note(metrics_before=known)

    def measure() -> None:
        attempt.journal.enter(TrainerPhase.EVALUATING_BASELINE)
        with adapters.untouched(trainer.model):
            attempt.journal.note(metrics_before=_measure(trainer, objective, "before training"))

    if trainer.model.device.type == "cpu":
        trainer.add_callback(Trim())
    wanted = attempt.run.evaluation.baseline and not known
    later = attempt.run.distribution.strategy != engines.NONE
    if wanted and later:
        trainer.add_callback(Baseline(trainer, measure))  # before the reporting, whose clocks are to start after it
    trainer.add_callback(_reporting(attempt))
    _quieten(trainer)
    if wanted and not later:
        measure()


def measure_result(trainer: Any, attempt: Attempt, objective: Any) -> None:
    """Measure the trained model on the same rows."""
    attempt.journal.enter(TrainerPhase.EVALUATING)
    attempt.journal.note(metrics_after=_measure(trainer, objective, "after training"))
    attempt.journal.advance(percent=99, eta_seconds=0, peak_memory_bytes=peak_memory_bytes())


def train(trainer: Any, attempt: Attempt, store: CheckpointStore, resumed: Checkpoint | None) -> None:
    """Train to the last step, or to the step after which the attempt is asked to stop.

    Raises:
        Suspended: asked to stop; a checkpoint is saved, or the message says why not.
        TrainerFailure: NonFiniteLoss, StorageFull.
    """
    saver = Saver(attempt, store, seconds_before=float(resumed.manifest.facts["train_seconds"]) if resumed else 0.0)
    trainer.add_callback(Begin(lambda: _begin(trainer, attempt)))
    trainer.add_callback(Guard(attempt))
    trainer.add_callback(Historian())
    for callback in best.callbacks(attempt.run, store):
        trainer.add_callback(callback)
    for callback in adapters.callbacks(trainer.model, resumed.path if resumed else None):
        trainer.add_callback(callback)  # before the saver, which takes away what is saved
    trainer.add_callback(saver)
    with attempt.stop.saving_first():
        try:
            _run(trainer, resumed)
        except Exception as error:
            _explain_full_storage(error, attempt, store)
            raise
    attempt.journal.note(train_seconds=round(saver.train_seconds(), 2), final_loss=attempt.journal.progress.loss)
    trainer.remove_callback(saver)
    if attempt.world.agree(attempt.stop.requested)[0]:
        raise Suspended(f"stopped at step {trainer.state.global_step}, goes on from there")
    best.deliver(trainer, attempt, store)


def _begin(trainer: Any, attempt: Attempt) -> None:
    engines.check(trainer, attempt.run)
    attempt.journal.enter(TrainerPhase.TRAINING)


def _look(store: CheckpointStore) -> Search:
    store.open()
    return store.newest()


def _check_ties(found: Checkpoint, run: TrainerRun, store: CheckpointStore) -> None:
    """Refuse a checkpoint whose optimizer lies in parts that fit other processes only; DDP's fits any number."""
    written, here = found.manifest.facts.get(TIES, {}), engines.ties(run.distribution)
    if written == here:
        return
    message = (
        f"{found.path.name} was written by {_tie(written)}, and this run has {_tie(here)}, which cannot read its "
        f"optimizer: set spec.distribution, nodes and devicesPerNode as they were, or delete {store.directory} to "
        "begin again"
    )
    raise TrainerFailure(FailureReason.INVALID_RUN, message)


def _tie(ties: Mapping[str, Any]) -> str:
    if not ties:
        return "ddp or one process"
    stage = f" at ZeRO stage {ties['zero_stage']}" if "zero_stage" in ties else ""
    return f"{ties['strategy']}{stage} on {ties['processes']} processes"


def _run(trainer: Any, resumed: Checkpoint | None) -> None:
    start = time.monotonic()
    try:
        trainer.train(resume_from_checkpoint=str(resumed.path) if resumed else None)
    except NothingLeft:
        print(f"step {trainer.state.global_step} was the last one, nothing is left to train")
    except Interrupted:
        # Asked to stop in the middle of an evaluation: the weights are those of the last step, so save them as the
        # library would have done after it. It has no public way to do that.
        engines.settle(trainer)
        trainer._save_checkpoint(trainer.model, trial=None)  # noqa: SLF001
        trainer.callback_handler.on_save(trainer.args, trainer.state, trainer.control)
    print(f"trained to step {trainer.state.global_step} in {time.monotonic() - start:.1f} s")


def _explain_full_storage(error: Exception, attempt: Attempt, store: CheckpointStore) -> None:
    """Say what did not fit and what is safe; when asked to stop, an older checkpoint is reason enough to go."""
    failure = classify(error)
    if isinstance(error, TrainerFailure) or failure.reason is not FailureReason.STORAGE_FULL:
        return
    free, written = store.free_bytes(), store.abandon()
    attempt.metrics.count_checkpoint("failed")
    kept = attempt.journal.progress.checkpoint_step
    safe = "there is no earlier one" if kept is None else f"checkpoint-{kept} stays good"
    previous = store.newest().found
    need = f"needs {previous.manifest.bytes:,} bytes" if previous else f"had written {written:,} bytes"
    message = (
        f"no space for the checkpoint of step {attempt.journal.progress.step} in {store.directory}: "
        f"{need}, {free:,} were free; {safe}"
    )
    if attempt.stop.requested and kept is not None:
        raise Suspended(message) from error
    raise TrainerFailure(FailureReason.STORAGE_FULL, f"{message}. Give the claim more room") from error


def _measure(trainer: Any, objective: Any, when: str) -> dict[str, float]:
    start = time.monotonic()
    found: dict[str, float] = objective.metrics(trainer.evaluate(metric_key_prefix=EVALUATION_PREFIX))
    numbers = ", ".join(f"{name} {value}" for name, value in found.items())
    print(f"{when}: {numbers} ({len(trainer.eval_dataset):,} held-out rows, {time.monotonic() - start:.1f} s)")
    return found


def _reporting(attempt: Attempt) -> ReportingCallback:
    return ReportingCallback(attempt.journal, attempt.metrics, attempt.run, attempt.world.seat)


def _quieten(trainer: Any) -> None:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _fingerprint(run: TrainerRun) -> str:
    """Hash what must be equal for one attempt to go on from another's checkpoint.

    Batch sizes, precision and quantization may differ: an attempt after an out-of-memory continues with a smaller
    plan.
    """
    technique = run.technique
    family = technique.method if technique.method in {"full", "peft"} else "adapter"
    family = "magnitudes" if technique.method in {"dora", "qdora"} else family
    parts = [run.task, run.model.name, run.model.revision, family, _said(technique.lora), run.training.optimizer]
    parts += [asdict(technique.peft)] if technique.peft else []
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _said(lora: LoraSettings | None) -> dict[str, Any] | None:
    """Return what differs from defaults, so that a checkpoint of a release without a field is still taken."""
    if lora is None:
        return None
    values = asdict(lora)
    return {each.name: values[each.name] for each in fields(lora) if values[each.name] != each.default}
