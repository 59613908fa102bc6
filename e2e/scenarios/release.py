"""The Helm release of the operator, as its administrator changes it and brings it back."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator

from cluster_user import OPERATOR_NAMESPACE, ROOT, kubectl

CHART = ROOT / "charts/finetune-operator"
RELEASE = "finetune-operator"

HELM_SECONDS = 150
"""A rolled-out upgrade; usually 15 s."""


def helm(*words: str, namespace: str = OPERATOR_NAMESPACE) -> str:
    """Run helm and return what it prints."""
    command = ["helm", *words, "--namespace", namespace]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HELM_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout


def upgrade(*values: str) -> None:
    """Roll the release out again with some values changed."""
    changed = [word for value in values for word in ("--set", value)]
    helm("upgrade", RELEASE, str(CHART), "--reuse-values", *changed, "--wait")


def rollback(revision: str) -> None:
    """Roll the release back."""
    helm("rollback", RELEASE, revision, "--wait")


def revision() -> str:
    """Return which revision is deployed."""
    history = json.loads(helm("history", RELEASE, "-o", "json"))
    return str(next(one["revision"] for one in history if one["status"] == "deployed"))


@contextlib.contextmanager
def changed(*values: str) -> Iterator[None]:
    """Have an operator with some values changed; it is as before in the end."""
    before = revision()
    upgrade(*values)
    try:
        yield
    finally:
        rollback(before)


def operator_pods() -> dict[str, str]:
    """Return the uids of the operator's pods by their names."""
    selector = f"app.kubernetes.io/instance={RELEASE}"
    found = json.loads(kubectl("-n", OPERATOR_NAMESPACE, "get", "pods", "-l", selector, "-o", "json"))["items"]
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in found}
