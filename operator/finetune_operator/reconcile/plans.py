"""Plans made of late: a job is planned again in most passes over it, and the same question has the same answer."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.planning import plan
from finetune_operator.planning.plan import Descent, Plan
from finetune_operator.planning.profiles import Profiles
from finetune_operator.planning.refusal import Refusal

KEPT = 512
"""Answers that are kept, of 13 KB each: more than a burst of jobs asks for before the first is asked again."""


def descend(spec: FineTuneJobSpec, profiles: Profiles, taken: Descent) -> Plan | Refusal | None:
    """Return what `plan.descend` does."""
    return _descend(_Question(spec.model_dump_json(), id(profiles), taken, spec, profiles))


@dataclass(frozen=True, slots=True)
class _Question:
    """The arguments, which have no hash themselves; `profiles` is held, or another might come to have its id."""

    text: str
    profiles_id: int
    taken: Descent
    spec: FineTuneJobSpec = field(compare=False)
    profiles: Profiles = field(compare=False)


@functools.lru_cache(maxsize=KEPT)
def _descend(asked: _Question) -> Plan | Refusal | None:
    return plan.descend(asked.spec, asked.profiles, asked.taken)
