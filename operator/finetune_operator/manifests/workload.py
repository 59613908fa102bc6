"""The batch/v1 Job of one attempt. It never retries by itself: every retry is a decision of the operator's."""

from __future__ import annotations

from finetune_trainer.contract import PROGRESS_PORT

from finetune_operator.manifests import names
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.labels import Manifest, labels, metadata
from finetune_operator.manifests.pod import pod_spec


def job(attempt: Attempt) -> Manifest:
    """Return the Job of an attempt."""
    key, number = attempt.key, attempt.number
    seconds = attempt.spec.active_deadline_seconds
    deadline = {"activeDeadlineSeconds": seconds} if seconds else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(key, names.attempt(key, number), number),
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            **deadline,
            "template": {
                "metadata": {
                    "labels": labels(key, number),
                    "annotations": {
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": str(PROGRESS_PORT),
                        "prometheus.io/path": "/metrics",
                    },
                },
                "spec": pod_spec(attempt),
            },
        },
    }
