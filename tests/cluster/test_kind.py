"""What kind is told; that the cluster then has it, e2e/scenarios shows."""

import json
import types

import kind
import pytest
from steps import Failed


@pytest.fixture
def cluster(own_cache, monkeypatch):
    """A cluster of which only the container's state is real; it notes what is done to it."""
    known = types.SimpleNamespace(state="absent", done=[], starts=True)

    def create():
        kind._write_configuration()
        known.done.append("create")

    def docker(verb, _):
        known.done.append(verb)
        if not known.starts:
            raise Failed("failed to create shim task: not a directory")

    monkeypatch.setattr(kind, "state", lambda: known.state)
    monkeypatch.setattr(kind, "create", create)
    monkeypatch.setattr(kind, "delete", lambda: known.done.append("delete"))
    monkeypatch.setattr(kind, "_works", lambda *_: True)
    monkeypatch.setattr(kind, "_share_storage", lambda: None)
    monkeypatch.setattr(kind.engine, "docker", docker)
    return known


def ensured(cluster, state):
    """Return what `up` does to a cluster in a state."""
    cluster.state, cluster.done = state, []
    kind.ensure()
    return cluster.done


def test_a_cluster_that_is_there_is_used_again(cluster):
    assert ensured(cluster, "absent") == ["create"]
    assert ensured(cluster, "running") == []
    assert ensured(cluster, "stopped") == ["start"]


def test_a_node_that_does_not_start_is_made_anew(cluster):
    ensured(cluster, "absent")
    cluster.starts = False
    assert ensured(cluster, "stopped") == ["start", "delete", "create"]


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_cluster_of_another_configuration_is_made_anew(cluster, monkeypatch, tmp_path, state):
    ensured(cluster, "absent")
    other = tmp_path / kind.AUDIT_POLICY.name
    other.write_text("kind: Policy\n")
    monkeypatch.setattr(kind, "AUDIT_POLICY", other)
    assert ensured(cluster, state) == ["delete", "create"]
    assert ensured(cluster, state) == ([] if state == "running" else ["start"])


def test_a_cluster_outlives_the_checkout_that_made_it(own_cache):
    (node,) = kind.configuration()["nodes"]
    assert all(kind.Path(one["hostPath"]).is_relative_to(own_cache) for one in node["extraMounts"])


def test_whatever_the_api_server_reads_or_writes_lies_in_a_folder_or_file_that_it_is_given(own_cache):
    kind._write_configuration()
    (node,) = kind.configuration()["nodes"]
    (patch,) = node["kubeadmConfigPatches"]
    server = json.loads(patch)["apiServer"]
    given = {one["mountPath"] for one in server["extraVolumes"]}
    paths = [value for value in server["extraArgs"].values() if value.startswith("/")]
    assert len(paths) == 2
    for path in paths:
        assert path in given or path.rpartition("/")[0] in given, path
    assert {one["containerPath"] for one in node["extraMounts"]} <= given
    assert all(kind.Path(one["hostPath"]).is_file() for one in node["extraMounts"])
