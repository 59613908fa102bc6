"""The batch/v1 Job of one attempt. It never retries by itself: every retry is a decision of the operator's."""

from __future__ import annotations

from finetune_trainer.contract import PROGRESS_PORT

from finetune_operator.api import keys
from finetune_operator.manifests import names, rendezvous, run_config
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.labels import Manifest, labels, metadata
from finetune_operator.manifests.pod import pod_spec


def job(attempt: Attempt) -> Manifest:
    """Return the Job of an attempt."""
    key, number = attempt.key, attempt.number
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(attempt),
        "spec": {
            "backoffLimit": 0,
            **rendezvous.job_fields(attempt.plan),
            "podReplacementPolicy": "Failed",
            **_limits(attempt),
            "template": {
                "metadata": {
                    "labels": labels(key, number),
                    "annotations": {
                        **run_config.pod_annotations(attempt),
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": str(PROGRESS_PORT),
                        "prometheus.io/path": "/metrics",
                    },
                },
                "spec": pod_spec(attempt),
            },
        },
    }


def _metadata(attempt: Attempt) -> Manifest:
    """Return the Job's metadata: with its queue, and with what its plan gave way to."""
    found = metadata(attempt.key, names.attempt(attempt.key, attempt.number), attempt.number)
    if attempt.spec.queue_name is not None:
        found["labels"][keys.LABEL_QUEUE] = attempt.spec.queue_name
    return {**found, **({"annotations": attempt.annotations} if attempt.annotations else {})}


def _limits(attempt: Attempt) -> Manifest:
    """Return what holds the Job back: its queue until that admits it, and the rest of the job's deadline."""
    queued = {"suspend": True} if attempt.spec.queue_name is not None else {}
    deadline = {} if attempt.seconds_left is None else {"activeDeadlineSeconds": attempt.seconds_left}
    return {**queued, **deadline}
