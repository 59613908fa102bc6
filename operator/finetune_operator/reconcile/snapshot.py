"""What was seen of a job and its children at one moment. Every decision and every status is a function of it.

Not here: reading it from the API (`cluster.observe`).
"""

from __future__ import annotations

from dataclasses import dataclass

from finetune_trainer.contract import Progress

from finetune_operator.api.identity import JobMeta
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.manifests.volumes import Required
from finetune_operator.planning.profiles import Profiles


@dataclass(frozen=True, slots=True)
class InvalidSpec:
    """A spec that the models do not accept although the API server did (a CRD of another version)."""

    message: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How a container ended; `message` is what it wrote to its termination log."""

    exit_code: int
    reason: str
    message: str
    finished_at: float


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A training pod. Times in seconds since the epoch; texts are Kubernetes' own and may be empty."""

    name: str
    phase: str
    node: str
    ip: str
    reason: str
    message: str
    unschedulable: str
    """Message of the condition PodScheduled while it is False."""
    disruption: str
    """Reason of the condition DisruptionTarget while it is True."""
    waiting_reason: str
    waiting_message: str
    started_at: float | None
    ending: Ending | None


@dataclass(frozen=True, slots=True)
class Workload:
    """The batch/v1 Job of an attempt. `finished_at` is set once it is complete or failed."""

    name: str
    attempt: int
    created_at: float
    complete: bool
    failed_reason: str | None
    failed_message: str
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class Missing:
    """What the spec names and is not there; `keys` are those of a ConfigMap that lacks the one asked for."""

    what: Required
    keys: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One job, seen at `now` (seconds since the epoch)."""

    meta: JobMeta
    spec: FineTuneJobSpec | InvalidSpec
    previous: FineTuneJobStatus
    """The status as it was last written: what the operator remembers."""
    workload: Workload | None
    pod: PodFacts | None
    progress: Progress | None
    missing: tuple[Missing, ...]
    profiles: Profiles
    now: float
