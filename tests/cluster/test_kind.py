"""What kind is told; that the cluster then has it, e2e/scenarios shows."""

import json

import kind


def test_whatever_the_api_server_reads_or_writes_lies_in_a_folder_or_file_that_it_is_given():
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
