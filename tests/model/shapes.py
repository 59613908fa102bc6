"""What users of the modelled cluster ask for, and how much memory it turns out to need."""

from __future__ import annotations

import typing

SPEC = {
    "model": {"name": "all-MiniLM-L6-v2"},
    "task": "text-classification",
    "dataset": {"source": {"configMap": {"name": "rows", "key": "rows.jsonl"}}},
    "training": {"maxSteps": 6, "batchSize": 16},
    "checkpoints": {"everySteps": 2},
}

SHAPES: dict[str, dict[str, typing.Any]] = {
    "plain": {},
    "without retries": {"backoffLimit": 0},
    "asleep": {"suspend": True},
    "on the user's claim": {"checkpoints": {"everySteps": 2, "storage": {"claim": {"name": "shared"}}}},
    "ephemeral": {"checkpoints": {"everySteps": 2, "storage": {"ephemeral": {}}}},
    "with a deadline": {"activeDeadlineSeconds": 40},
    "with a time to live": {"ttlSecondsAfterFinished": 30},
    "in a queue": {"queueName": "team-queue"},
    "on two nodes": {"hardware": {"accelerator": "cpu", "nodes": 2}},
    "on two nodes, in a queue": {"hardware": {"accelerator": "cpu", "nodes": 2}, "queueName": "team-queue"},
    "goes on from anna": {"model": {"name": "all-MiniLM-L6-v2", "fromJob": "anna"}},
    "impossible": {"model": {"name": "unheard-of"}},
    "impossible, and goes at once": {"model": {"name": "unheard-of"}, "ttlSecondsAfterFinished": 0},
}

FITS = {"it fits": None, "half of it fits": 8, "hardly any fits": 1, "nothing fits": 0, "it always fails": None}
