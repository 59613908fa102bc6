"""Builds every child of an attempt; `children` is the entry."""

from __future__ import annotations

from finetune_operator.manifests import run_config, volumes, workload
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.labels import Manifest


def children(attempt: Attempt) -> tuple[Manifest, ...]:
    """Return the objects to create, in the order in which they are needed: the Job comes last."""
    template = volumes.claim_template(attempt.spec)
    claim = (volumes.work_claim(attempt.key, template),) if template else ()
    return (*claim, run_config.config_map(attempt), workload.job(attempt))
