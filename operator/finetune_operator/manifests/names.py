"""Names of a job's children: deterministic from the job's name, its uid and the attempt.

The uid's hash keeps the children of a job that was deleted and created again apart from those of its former life.
"""

from __future__ import annotations

import base64
import hashlib

from finetune_operator.api.identity import JobKey

HASH_LENGTH = 5


def stem(key: JobKey) -> str:
    """Return what the names of all children of a job begin with."""
    digest = base64.b32encode(hashlib.sha256(key.uid.encode()).digest()).decode().lower()
    return f"{key.name}-{digest[:HASH_LENGTH]}"


def attempt(key: JobKey, number: int) -> str:
    """Return the name of an attempt's batch/v1 Job."""
    return f"{stem(key)}-{number}"


def rendezvous(key: JobKey) -> str:
    """Return the name of the Service by which a job's pods find each other; such a name has to begin with a letter."""
    return f"ranks-{stem(key)}"


def work_claim(key: JobKey) -> str:
    """Return the name of the claim made for checkpoints and artifacts."""
    return stem(key)
