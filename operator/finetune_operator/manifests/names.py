"""Names of a job's children: deterministic from the job's name, its uid and the attempt.

The uid's hash keeps the children of a job that was deleted and created again apart from those of its former life.
"""

from __future__ import annotations

import base64
import hashlib

from finetune_operator.api.identity import JobKey

HASH_LENGTH = 5

INSPECTION = 0
"""Number that stands for the inspection where attempts have theirs, so that the watches see it: attempts begin at 1."""

REPLICATED = "n"
"""Name of the one replicated Job in a JobSet. It is in the name of every pod, where there is little room."""

RANDOM = "abcde"
"""In the place of what Kubernetes adds to the name of a pod."""

MAX_POD = 63
"""Longest name of a pod, since it is a host name as well."""


def stem(key: JobKey) -> str:
    """Return what the names of all children of a job begin with."""
    digest = hashlib.sha256(key.uid.encode()).digest()[:HASH_LENGTH]  # more bytes than so many characters are made of
    return f"{key.name}-{base64.b32encode(digest).decode().lower()[:HASH_LENGTH]}"


def attempt(key: JobKey, number: int) -> str:
    """Return the name of an attempt's batch/v1 Job."""
    return f"{stem(key)}-{number}"


def longest_pod(key: JobKey, number: int, nodes: int) -> str:
    """Return a name as long as any that a pod of an attempt in a JobSet gets."""
    return f"{in_jobset(attempt(key, number))}-{nodes - 1}-{RANDOM}"


def in_jobset(name: str) -> str:
    """Return the name of the Job in a JobSet of this name."""
    return f"{name}-{REPLICATED}-0"


def inspection(key: JobKey) -> str:
    """Return the name of the batch/v1 Job that reads a model's config.json before the first attempt."""
    return attempt(key, INSPECTION)


def rendezvous(key: JobKey) -> str:
    """Return the name of the Service by which a job's pods find each other; such a name has to begin with a letter."""
    return f"ranks-{stem(key)}"


def work_claim(key: JobKey) -> str:
    """Return the name of the claim made for checkpoints and artifacts."""
    return stem(key)
