"""A cluster with the operator on it, as `make install` left it; each test has a namespace of its own.

Everything is done with kubectl, as a user would. Nothing is mocked.
"""

from __future__ import annotations

import shutil
import subprocess
import uuid

import pytest
from cluster_user import OPERATOR_NAMESPACE, SAMPLES, SAMPLES_SECONDS, User


@pytest.fixture(scope="session", autouse=True)
def operator_is_ready() -> None:
    """Fail at once, with the way out, where there is no cluster or no operator."""
    if shutil.which("kubectl") is None:
        pytest.exit("kubectl is not on PATH: run `make test-e2e`, which sets it up", returncode=1)
    asked = subprocess.run(
        ["kubectl", "-n", OPERATOR_NAMESPACE, "rollout", "status", "deployment/finetune-operator", "--timeout=60s"],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    if asked.returncode:
        pytest.exit(f"no operator on the cluster: run `make install`\n{asked.stderr}", returncode=1)


@pytest.fixture
def user(request):
    """A user with an empty namespace, which goes when the test is over."""
    yield from _namespace(request)


@pytest.fixture(scope="module")
def shared_user(request):
    """A user whose namespace the tests of a module share."""
    yield from _namespace(request)


@pytest.fixture
def sampled(user):
    """A user whose namespace has the claim `samples`."""
    return _with_samples(user)


@pytest.fixture(scope="module")
def shared_sampled(shared_user):
    """The same for all tests of a module."""
    return _with_samples(shared_user)


def _namespace(request):
    stem = request.node.name.split("[")[0].removeprefix("test_").removesuffix(".py").split("/")[-1]
    name = stem.replace("_", "-")[:40].strip("-") + "-" + uuid.uuid4().hex[:6]
    user = User(name)
    user.kubectl("create", "namespace", name, namespaced=False)
    label = "pod-security.kubernetes.io/enforce=restricted"
    user.kubectl("label", "namespace", name, label, namespaced=False)
    yield user
    user.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found", namespaced=False)


def _with_samples(user: User) -> User:
    user.apply_file(SAMPLES)
    user.wait_for("job/samples", "condition=complete", within=SAMPLES_SECONDS)
    return user
