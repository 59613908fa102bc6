"""A real API server that has our CustomResourceDefinition, shared by all tests of this folder."""

import pathlib
import subprocess

import pytest
from control_plane import ControlPlane, poll_until
from finetune_operator.api.schema import crd
from real_jobs import JOBS, NAMESPACE, Jobs

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

PROGRAMS_SECONDS = 900
"""Finding the programs takes no time, building them 208 s on two idle cores."""

ESTABLISHED_SECONDS = 30
"""From the definition to an API that takes jobs; usually 1 s."""


@pytest.fixture(scope="session")
def programs():
    asked = ["python3", str(ROOT / "e2e/cluster"), "control-plane-bin"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=PROGRAMS_SECONDS)
    assert found.returncode == 0, found.stderr
    return pathlib.Path(found.stdout.strip())


@pytest.fixture(scope="session")
def server(programs):
    with ControlPlane(programs) as running:
        yield running


@pytest.fixture(scope="session")
def jobs(server):
    status, answer = server.request("POST", DEFINITIONS, crd(), fieldValidation="Strict")
    assert status == 201, answer
    server.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    poll_until(
        lambda: server.request("GET", JOBS)[0] == 200,
        within=ESTABLISHED_SECONDS,
        waiting_for="the definition to be served",
    )
    return Jobs(server)
