"""Which checkpoint the next attempt will find, by whoever told last; `newest` is the entry.

What was told counts until a trainer that has looked finds nothing: then somebody deleted what it was on.
"""

from __future__ import annotations

from finetune_trainer.contract import Progress, TrainerPhase

from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.reconcile.attempts import failure
from finetune_operator.reconcile.snapshot import InvalidSpec, Snapshot

_BEFORE_LOOKING = frozenset({TrainerPhase.STARTING, TrainerPhase.VALIDATING_DATA, TrainerPhase.LOADING_MODEL})
"""Phases in which a trainer may not have looked yet whether there is a checkpoint to go on from."""


def newest(seen: Snapshot, attempt: int) -> int | None:
    """Return the step of the newest checkpoint at the time of an attempt: in its own words, else in those before it."""
    pods, live, known = seen.pods_of(attempt), _live(seen, attempt), seen.previous.checkpoint
    report = failure.exit_report(pods[0].ending) if pods else None
    told = [one.checkpoint_step for one in (report, live) if one is not None and one.checkpoint_step is not None]
    if told:
        return max(told)
    found_nothing = (report is not None and report.step > 0) or (live is not None and live.phase not in _BEFORE_LOOKING)
    return None if found_nothing or known is None else known.step


def resumable(seen: Snapshot, attempt: int) -> int | None:
    """Return the same of a checkpoint that the next attempt can go on from."""
    return None if ephemeral(seen.spec) else newest(seen, attempt)


def ephemeral(spec: FineTuneJobSpec | InvalidSpec) -> bool:
    """Return whether checkpoints go with their pod."""
    storage = spec.checkpoints.storage if isinstance(spec, FineTuneJobSpec) else None
    return storage is not None and storage.ephemeral is not None


def _live(seen: Snapshot, attempt: int) -> Progress | None:
    """Return what the trainer of an attempt said while it ran, unless how it ended was told: that is later."""
    said = seen.progress
    ended = any(one.number == attempt and one.end_time for one in seen.previous.attempts)
    return said if said is not None and said.attempt == attempt and not ended else None
