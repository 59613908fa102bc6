"""Labels and owner of every object made for a job."""

from __future__ import annotations

import typing

from finetune_operator.api import keys
from finetune_operator.api.identity import JobKey

Manifest = dict[str, typing.Any]


def labels(key: JobKey, attempt: int | None = None) -> dict[str, str]:
    """Return the recommended labels and our own; the attempt only where the object belongs to one."""
    own = {keys.LABEL_JOB: key.name, keys.LABEL_JOB_UID: key.uid}
    if attempt is not None:
        own[keys.LABEL_ATTEMPT] = str(attempt)
    return {
        "app.kubernetes.io/name": "finetune-trainer",
        "app.kubernetes.io/instance": key.name,
        "app.kubernetes.io/component": "trainer",
        "app.kubernetes.io/part-of": keys.PART_OF,
        "app.kubernetes.io/managed-by": keys.MANAGED_BY,
        **own,
    }


def metadata(key: JobKey, name: str, attempt: int | None = None) -> Manifest:
    """Return the metadata of a child: it goes when the job goes."""
    return {
        "name": name,
        "namespace": key.namespace,
        "labels": labels(key, attempt),
        "ownerReferences": [
            {
                "apiVersion": keys.API_VERSION,
                "kind": keys.KIND,
                "name": key.name,
                "uid": key.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
