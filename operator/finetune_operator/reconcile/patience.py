"""When a job is looked at again that waits for what somebody else has to make or end; `look_again` is the entry.

Soon at first, since that may be applied right after the job, and then less and less often: it may never come, and each
look costs requests. What the watches tell of (`cluster.store`) is looked at at once all the same.
"""

from __future__ import annotations

from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1.reasons import ConditionType
from finetune_operator.reconcile.snapshot import Snapshot

SHORTEST_SECONDS = 5.0
"""Seconds from one look to the next at least."""

PATIENCE = 0.25
"""Part of the time that a job has been waiting after which it is looked at again."""

LONGEST_SECONDS = 300.0
"""Seconds from one look to the next at most: who makes what is missing waits no longer for the job to go on."""


def look_again(seen: Snapshot, *, soonest: float = SHORTEST_SECONDS) -> float:
    """Return the seconds until the next look, by how long the job has been on its way without getting there."""
    found = (one for one in seen.previous.conditions if one.type == ConditionType.RECONCILING)
    since = next((timestamps.parse(one.last_transition_time) for one in found), seen.now)
    return min(LONGEST_SECONDS, max(soonest, PATIENCE * (seen.now - since)))
