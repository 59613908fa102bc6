"""The batch/v1 Job of one attempt, or the part of a JobSet that it is there; and that of an inspection.

An attempt's never retries by itself: every retry is a decision of the operator's.
"""

from __future__ import annotations

from finetune_trainer import contract
from finetune_trainer.contract import PROGRESS_PORT

from finetune_operator.api import keys
from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.manifests import names, rendezvous, run_config, volumes
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.labels import Manifest, labels, metadata
from finetune_operator.manifests.pod import inspection_pod_spec, pod_spec
from finetune_operator.planning.profiles import Profiles

INSPECTION_RETRIES = 3
"""Pods that follow on an inspection's first one which failed or was taken away: after 10, 20 and 40 seconds."""


def job(attempt: Attempt) -> Manifest:
    """Return the Job of an attempt."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": own_metadata(attempt),
        "spec": {**held(attempt), **job_spec(attempt)},
    }


def job_spec(attempt: Attempt) -> Manifest:
    """Return what a Job runs, without what holds it back."""
    deadline = {} if attempt.seconds_left is None else {"activeDeadlineSeconds": attempt.seconds_left}
    return {
        "backoffLimit": 0,
        **rendezvous.job_fields(attempt.plan),
        "podReplacementPolicy": "Failed",
        **deadline,
        "template": {
            "metadata": {
                "labels": labels(attempt.key, attempt.number),
                "annotations": {
                    **run_config.pod_annotations(attempt),
                    "prometheus.io/scrape": "true",
                    "prometheus.io/port": str(PROGRESS_PORT),
                    "prometheus.io/path": "/metrics",
                },
            },
            "spec": pod_spec(attempt),
        },
    }


def held(attempt: Attempt) -> Manifest:
    """Return what holds an attempt back until its queue admits it."""
    return {"suspend": True} if attempt.spec.queue_name is not None else {}


def own_metadata(attempt: Attempt) -> Manifest:
    """Return an attempt's metadata: with its queue, and with what its plan gave way to."""
    found = metadata(attempt.key, names.attempt(attempt.key, attempt.number), attempt.number)
    if attempt.spec.queue_name is not None:
        found["labels"][keys.LABEL_QUEUE] = attempt.spec.queue_name
    return {**found, **({"annotations": attempt.annotations} if attempt.annotations else {})}


def inspection(key: JobKey, spec: FineTuneJobSpec, profiles: Profiles) -> Manifest:
    """Return the Job that reads a model's config.json from its claim, before there is a plan.

    Kubernetes retries it: unlike an attempt it has nothing that a retry could change, and it writes nowhere.
    """
    mount = volumes.model(spec)
    run = contract.InspectionRun(
        schema_version=contract.SCHEMA_VERSION,
        folder=mount.path if mount else volumes.MODEL_MOUNT,
        termination_log=run_config.TERMINATION_LOG,
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(key, names.inspection(key), names.INSPECTION),
        "spec": {
            "backoffLimit": INSPECTION_RETRIES,
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": {
                    "labels": labels(key, names.INSPECTION),
                    "annotations": {keys.ANNOTATION_RUN: contract.to_json(run)},
                },
                "spec": inspection_pod_spec(spec, profiles),
            },
        },
    }
