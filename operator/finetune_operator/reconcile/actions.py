"""What a decision asks for, and what came of it. Values only: `cluster.execute` acts on them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from finetune_trainer.contract import ExitReport

from finetune_operator.api.v1alpha1.pretrained import ModelNumbers
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.status import AttemptStatus
from finetune_operator.manifests.labels import Manifest
from finetune_operator.planning.plan import Plan


class Propagation(enum.StrEnum):
    """What becomes of the dependents of an object that is deleted."""

    FOREGROUND = "Foreground"
    """They go first: once the object is gone, so are they."""
    BACKGROUND = "Background"


@dataclass(frozen=True, slots=True)
class Create:
    """Create a child under its deterministic name; that it exists already is as good."""

    manifest: Manifest = field(hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Delete the object with this uid; that it is gone already is as good."""

    kind: str
    namespace: str
    name: str
    uid: str
    propagation: Propagation = Propagation.FOREGROUND


@dataclass(frozen=True, slots=True)
class ProveIdle:
    """Read the job's Jobs and pods live: what follows is done only if none of them may still run."""


Action = Create | Delete | ProveIdle


@dataclass(frozen=True, slots=True)
class Event:
    """One line of `kubectl describe`. `warning` where somebody should look."""

    reason: str
    message: str
    warning: bool


class State(enum.StrEnum):
    """Where a job stands."""

    REFUSED = "refused"
    INSPECTING = "inspecting"
    WAITING = "waiting"
    CREATING = "creating"
    QUEUED = "queued"
    PENDING = "pending"
    STARTING = "starting"
    TRAINING = "training"
    RESTARTING = "restarting"
    SUSPENDING = "suspending"
    SUSPENDED = "suspended"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
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
    actions: tuple[Action, ...] = ()
    plan: Plan | None = None
    requeue_after: float | None = None
    attempts: tuple[AttemptStatus, ...] = ()
    """Every attempt so far, as it is to be remembered."""
    begun: AttemptStatus | None = None
    """The attempt that the actions begin; to be remembered only if they succeed."""
    shape: ModelNumbers | None = None
    """The model's numbers, where they were read from its config.json; to be remembered."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An action that the API server refused for good, in its own words."""

    kind: str
    name: str
    code: int
    message: str
    deleting: bool = False
    """Whether it was to be deleted, not created."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of the actions: how many objects are new, and the first refusal, which stopped the rest.

    `new_claim`: among them is a claim, on which nothing is saved yet.
    `outdated`: the live look has shown something that the decision did not know; it has to be made again.
    """

    created: int = 0
    new_claim: bool = False
    refused: Refused | None = None
    outdated: bool = False
