"""The behaviours that the operator relies on, on a real API server and Kubernetes' own controllers.

tests/model/test_conformance.py has the in-memory cluster show the same.
"""

import contextlib
import http.client
import itertools
import json
import pathlib
import ssl
import subprocess
import urllib.parse

import pytest
from conformance_of_api import BEHAVIOURS
from conformance_of_controllers import BEHAVIOURS as OF_CONTROLLERS
from control_plane import ControlPlane, poll_until
from finetune_operator.api.schema import crd

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CONTROLLERS = (
    "job-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "persistentvolumeclaim-protection-controller",
    "pod-garbage-collector-controller",
)

PROGRAMS_SECONDS = 900
"""Finding the programs takes no time, building them 208 s on two idle cores."""

SETTLED_SECONDS = 60
"""Longest time that controllers get for anything: a pod without a node takes 20 s to go, all else less than 7 s."""


class RealWorld:
    """A namespace of its own on a real API server."""

    numbers = itertools.count()

    def __init__(self, server):
        self.server = server
        self.namespace = f"team-{next(self.numbers)}"
        code, answer = self.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        assert code == 201, answer

    def request(self, method, path, body=None, *, patch="merge-patch", **query):
        where = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        kind = {"merge-patch": "application/merge-patch+json", "apply-patch": "application/apply-patch+yaml"}[patch]
        content = kind if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {self.server._tokens['admin']}", "Content-Type": content}
        trusted = ssl.create_default_context(cafile=str(self.server._certificate))
        host, port = self.server.url.removeprefix("https://").split(":")
        with contextlib.closing(
            http.client.HTTPSConnection(host, int(port), timeout=30, context=trusted)
        ) as connection:
            connection.request(method, where, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            text = response.read().decode()
        return response.status, json.loads(text) if text.startswith("{") else {"message": text}

    def until(self, ask, waiting_for="it"):
        poll_until(ask, within=SETTLED_SECONDS, waiting_for=waiting_for)


@pytest.fixture(scope="module")
def cluster():
    asked = ["python3", str(ROOT / "e2e/cluster"), "control-plane-bin"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=PROGRAMS_SECONDS)
    assert found.returncode == 0, found.stderr
    with ControlPlane(pathlib.Path(found.stdout.strip())) as server:
        status, answer = server.request("POST", DEFINITIONS, crd(), fieldValidation="Strict")
        assert status == 201, answer
        path = f"/apis/{crd()['spec']['group']}/v1alpha1/finetunejobs"
        poll_until(lambda: server.request("GET", path)[0] == 200, within=SETTLED_SECONDS, waiting_for="the definition")
        server._run("kube-controller-manager", *flags(server.kubeconfig(server._folder / "controllers.json")))
        yield server


def flags(kubeconfig):
    return (
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(CONTROLLERS)}",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    )


@pytest.fixture
def world(cluster):
    return RealWorld(cluster)


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
def test_the_api_server(behaviour, world):
    behaviour(world)


@pytest.mark.parametrize("behaviour", OF_CONTROLLERS.values(), ids=OF_CONTROLLERS)
def test_the_controllers(behaviour, world):
    behaviour(world)
