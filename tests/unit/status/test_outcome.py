"""Where artifacts lie, and how a plan reads."""

import pytest
from builders import KEY, a_job
from finetune_operator.manifests import names
from finetune_operator.status.outcome import output_root

STEM = names.stem(KEY)
TO_MINE = {"destinations": [{"claim": {"name": "mine", "path": "models"}}]}
TO_ROOT = {"destinations": [{"claim": {"name": "mine"}}]}

CASES = {
    "on the claim made for the job": ({}, {}, f"pvc://{STEM}/output"),
    "in a folder of the job's own on a claim of the user's": (
        {"storage": {"claim": {"name": "shared", "path": "runs"}}},
        {},
        f"pvc://shared/runs/{STEM}/output",
    ),
    "at the root of a claim of the user's, still in a folder of its own": (
        {"storage": {"claim": {"name": "shared"}}},
        {},
        f"pvc://shared/{STEM}/output",
    ),
    "at the destination where the storage goes with the pod": (
        {"storage": {"ephemeral": {}}},
        TO_MINE,
        "pvc://mine/models",
    ),
    "at the root of the destination": ({"storage": {"ephemeral": {}}}, TO_ROOT, "pvc://mine"),
    "nowhere that stays": ({"storage": {"ephemeral": {}}}, {}, "pod:/"),
}


@pytest.mark.parametrize(("checkpoints", "output", "want"), CASES.values(), ids=CASES)
def test_artifacts_lie(checkpoints, output, want):
    assert output_root(KEY, a_job(checkpoints=checkpoints, output=output)) == want
