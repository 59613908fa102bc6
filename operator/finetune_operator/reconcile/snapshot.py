"""What was seen of a job and its children at one moment. Every decision and every status is a function of it.

Not here: reading it from the API (`cluster.observe`).
"""

from __future__ import annotations

from dataclasses import dataclass

from finetune_trainer.contract import Progress

from finetune_operator.api.identity import JobMeta
from finetune_operator.api.v1alpha1.sources import ClaimPath, ModelSource
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import FineTuneJobStatus
from finetune_operator.manifests.volumes import Required
from finetune_operator.planning.profiles import Profiles

ENDED_PHASES = frozenset({"Succeeded", "Failed"})


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """A training pod. Times in seconds since the epoch; texts are Kubernetes' own and may be empty."""

    name: str
    uid: str
    attempt: int
    rank: int
    """Index of the node within the attempt, from 0."""
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
    created_at: float
    started_at: float | None
    ending: Ending | None
    deleting: bool = False
    gone_at: float | None = None
    """When it was found gone; 0 where the watch told its last state. None while it exists."""

    @property
    def alive(self) -> bool:
        """Whether it may still write to its volumes."""
        return self.gone_at is None and self.phase not in ENDED_PHASES


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What runs an attempt: a batch/v1 Job, or a JobSet. `finished_at` is set once it is complete or failed."""

    name: str
    uid: str
    attempt: int
    pods: int
    """Pods that run at the same time."""
    created_at: float
    started_at: float | None
    """Since when it is active, None while it is suspended."""
    suspended: bool
    """Held back by a queue."""
    suspended_at: float | None
    suspended_message: str
    complete: bool
    failed_reason: str | None
    failed_message: str
    finished_at: float | None
    deleting: bool
    rung: int
    memory_raises: int
    change: str | None
    kind: str = "Job"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What reads the model's config.json: its Job, None where that is gone, and its pods, ended ones that went too."""

    workload: Workload | None = None
    pods: tuple[PodFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Missing:
    """What the spec names and is not there; `keys` are those of a ConfigMap that lacks the one asked for."""

    what: Required
    keys: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """The newest warning among the Events of a Job or pod that does not get on, in Kubernetes' words."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The job that `spec.model.fromJob` names; what it was trained from and where its result lies."""

    found: bool
    finished: bool = False
    ring: tuple[str, ...] = ()
    """Jobs from it on, each of which waits for the next and the last for the job itself, so that none ever begins."""
    succeeded: bool = False
    method: str = ""
    """Of its plan."""
    base: ModelSource | None = None
    """Where the files of the model lie that its adapter belongs to, looked up through all jobs before it."""
    lost: str | None = None
    """The job before it that is gone, so that the base is unknown."""
    adapter: ClaimPath | None = None
    """Where its adapter lies, None where no claim holds one."""
    merged: ClaimPath | None = None
    """Where its merged model lies, with method full the model itself; None where no claim holds one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One job, seen at `now` (seconds since the epoch)."""

    meta: JobMeta
    spec: FineTuneJobSpec | InvalidSpec
    previous: FineTuneJobStatus
    """The status as it was last written: what the operator remembers."""
    workloads: tuple[Workload, ...] = ()
    """The Jobs of all attempts, oldest first."""
    pods: tuple[PodFacts, ...] = ()
    """The pods of all attempts; also ended ones that are gone, as far as they are remembered."""
    inspection: Inspection = Inspection()
    """What reads the model's config.json before the first attempt. It is no attempt, and nobody counts it as one."""
    listed: bool = False
    """Whether Jobs and pods were read from the API server for this very snapshot: what is not among them is gone."""
    progress: Progress | None = None
    """The last word of the newest attempt's trainer."""
    missing: tuple[Missing, ...] = ()
    unshared: tuple[str, ...] = ()
    """Claims that the spec names and that several nodes at a time cannot use as it does: to read, or to write."""
    trouble: Trouble | None = None
    parent: Parent | None = None
    profiles: Profiles
    now: float

    @property
    def workload(self) -> Workload | None:
        """The Job of the newest attempt."""
        return self.workloads[-1] if self.workloads else None

    @property
    def attempt(self) -> int:
        """The number of the newest attempt, 0 before the first."""
        told = [one.attempt for one in self.workloads] + [one.attempt for one in self.pods]
        return max(told + [one.number for one in self.previous.attempts], default=0)

    def workload_of(self, attempt: int) -> Workload | None:
        """Return the Job of an attempt."""
        return next((one for one in self.workloads if one.attempt == attempt), None)

    def pods_of(self, attempt: int) -> tuple[PodFacts, ...]:
        """Return the pods of an attempt by rank, of each rank the newest; none from before a queue took its place."""
        workload = self.workload_of(attempt)
        since = workload.started_at if workload else None
        newest = {
            one.rank: one
            for one in sorted(self.pods, key=lambda pod: (pod.gone_at is None, pod.created_at, pod.name))
            if one.attempt == attempt and (one.gone_at is None or since is None or one.created_at >= since)
        }
        return tuple(newest[rank] for rank in sorted(newest))

    @property
    def pod(self) -> PodFacts | None:
        """The pod of the newest attempt that reports: rank 0's."""
        newest = max((*(one.attempt for one in self.workloads), *(one.attempt for one in self.pods)), default=0)
        return next((one for one in self.pods_of(newest) if one.rank == 0), None)
