"""What a decision asks for, and what came of it. Values only: `cluster.execute` acts on them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from finetune_trainer.contract import ExitReport

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.manifests.labels import Manifest
from finetune_operator.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class Create:
    """Create a child under its deterministic name; that it exists already is as good."""

    manifest: Manifest = field(hash=False)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of `kubectl describe`. `warning` where somebody should look."""

    reason: str
    message: str
    warning: bool


class State(enum.StrEnum):
    """Where a job stands."""

    REFUSED = "refused"
    WAITING = "waiting"
    CREATING = "creating"
    PENDING = "pending"
    STARTING = "starting"
    TRAINING = "training"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    FINISHED_BEFORE = "finished-before"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a job stands and why; `report` is the trainer's last word, if it left one."""

    state: State
    reason: Reason
    message: str
    report: ExitReport | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Actions in their order, the verdict that status and metrics show, and when to look again (seconds)."""

    verdict: Verdict
    actions: tuple[Create, ...] = ()
    plan: Plan | None = None
    requeue_after: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """An action that the API server refused for good, in its own words."""

    kind: str
    name: str
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came of the actions: how many objects are new, and the first refusal, which stopped the rest."""

    created: int = 0
    refused: Refused | None = None
