"""One attempt at a job: what all manifests of it are made from."""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api import keys
from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.sources import ClaimPath
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.planning.plan import AS_PLANNED, Descent, Plan
from finetune_operator.planning.profiles import Profiles


@dataclass(frozen=True, slots=True)
class Attempt:
    """The job, what it asks for, how it was planned, what the administrator offers, and which try this is (from 1)."""

    key: JobKey
    spec: FineTuneJobSpec
    plan: Plan
    profiles: Profiles
    number: int
    adapter: ClaimPath | None = None
    """The adapter of another job to go on from."""
    descent: Descent = AS_PLANNED
    """How far the plan gave way to a lack of memory."""
    change: str | None = None
    """What the plan changed since the attempt before."""
    seconds_left: int | None = None
    """Seconds that the job may still be active, None without a deadline."""

    @property
    def annotations(self) -> dict[str, str]:
        """What the Job says of its plan, so that a lost status can be told again from the Jobs."""
        taken = {keys.ANNOTATION_RUNG: self.descent.rung, keys.ANNOTATION_MEMORY_RAISES: self.descent.memory_raises}
        found = {name: str(count) for name, count in taken.items() if count}
        return found | ({keys.ANNOTATION_CHANGE: self.change} if self.change else {})
