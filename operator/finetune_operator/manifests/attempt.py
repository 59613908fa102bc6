"""One attempt at a job: what all manifests of it are made from."""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.planning.plan import Plan
from finetune_operator.planning.profiles import Profiles


@dataclass(frozen=True, slots=True)
class Attempt:
    """The job, what it asks for, how it was planned, what the administrator offers, and which try this is (from 1)."""

    key: JobKey
    spec: FineTuneJobSpec
    plan: Plan
    profiles: Profiles
    number: int
