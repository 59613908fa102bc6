"""An attempt on several nodes as a JobSet of one Indexed Job; `jobset` is the entry.

The JobSet makes the Job and the Service by which the pods find each other. Only the JobSet and the pods carry the job's
labels: the Job between them is the JobSet's own affair.
Not here: when that is, and the Service that takes its place otherwise (`manifests.rendezvous`).
"""

from __future__ import annotations

from finetune_operator.api import keys
from finetune_operator.manifests import names, workload
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.labels import Manifest


def jobset(attempt: Attempt) -> Manifest:
    """Return the JobSet of an attempt. It never restarts by itself: every retry is a decision of the operator's."""
    return {
        "apiVersion": keys.JOBSET_VERSION,
        "kind": keys.JOBSET,
        "metadata": workload.own_metadata(attempt),
        "spec": {
            **workload.held(attempt),
            "failurePolicy": {"maxRestarts": 0},
            "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
            "replicatedJobs": [
                {"name": names.REPLICATED, "replicas": 1, "template": {"spec": workload.job_spec(attempt)}}
            ],
        },
    }
