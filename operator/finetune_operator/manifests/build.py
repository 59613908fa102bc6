"""Builds every child of an attempt; `children` is the entry."""

from __future__ import annotations

from finetune_operator.manifests import jobset, rendezvous, volumes, workload
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.labels import Manifest


def children(attempt: Attempt) -> tuple[Manifest, ...]:
    """Return the objects to create, in the order in which they are needed: what runs comes last."""
    template = volumes.claim_template(attempt.spec)
    claim = (volumes.work_claim(attempt.key, template, nodes=attempt.plan.nodes),) if template else ()
    if rendezvous.in_jobset(attempt):
        return (*claim, jobset.jobset(attempt))
    meeting = (rendezvous.service(attempt),) if rendezvous.is_shared(attempt.plan) else ()
    return (*claim, *meeting, workload.job(attempt))
