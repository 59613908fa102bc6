"""The release before this checkout: what an upgrade comes from, and what a downgrade goes back to.

Taken out of the repository's own history, so that it is what it was, with its own definition and its own operator.
"""

import io
import pathlib
import subprocess
import tarfile

import pytest

COMMIT = "475b9f85070a099f4589144cc87dd5e9fb12c4fb"
"""Moved on with each release; nothing else names it."""

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = ("operator", "trainer/finetune_trainer", "crds")


def unpacked(folder):
    """Write the previous release into a folder and return that; skip the test where this clone does not have it."""
    found = subprocess.run(
        ["git", "cat-file", "-e", f"{COMMIT}^{{commit}}"], cwd=ROOT, capture_output=True, check=False
    )
    if found.returncode:
        pytest.skip(f"this clone lacks the previous release, {COMMIT[:8]}: fetch its whole history")
    packed = subprocess.run(["git", "archive", COMMIT, *PARTS], cwd=ROOT, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder
