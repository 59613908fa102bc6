"""Names under which the project is known to a cluster: group, labels, field manager.

Not here: names of single objects (`manifests.names`).
"""

from typing import Final

GROUP: Final = "finetune.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "FineTuneJob"
PLURAL: Final = "finetunejobs"
SINGULAR: Final = "finetunejob"
SHORT_NAME: Final = "ftj"
CATEGORIES: Final = ("finetune", "ai")

LABEL_JOB: Final = f"{GROUP}/job-name"
LABEL_JOB_UID: Final = f"{GROUP}/job-uid"
LABEL_ATTEMPT: Final = f"{GROUP}/attempt"

ANNOTATION_RUN: Final = f"{GROUP}/run"
"""On training pods: the TrainerRun as JSON, which the pod reads as a file."""

ANNOTATION_RUNG: Final = f"{GROUP}/rung"
ANNOTATION_MEMORY_RAISES: Final = f"{GROUP}/memory-raises"
ANNOTATION_CHANGE: Final = f"{GROUP}/change"
"""On the Job of an attempt: what its plan gave way to, so that a lost status can be told again from the Jobs."""

JOBSET: Final = "JobSet"
JOBSET_VERSION: Final = "jobset.x-k8s.io/v1alpha2"
"""What an attempt on several nodes may be instead of a Job."""

LABEL_QUEUE: Final = "kueue.x-k8s.io/queue-name"
"""Kueue's label of a Job that it admits."""

FIELD_MANAGER: Final = "finetune-operator"
"""Server-side apply's manager of every field that the operator owns."""

EVENT_SOURCE: Final = "finetune-operator"
MANAGED_BY: Final = "finetune-operator"
PART_OF: Final = "finetune-operator"
