"""Which programs on PATH will do, and how builds are keyed."""

import cache
import pytest
import tools

ANSWERS = {
    "the kubectl we build": ("kubectl", "Client Version: v1.35.4\nKustomize Version: v5.7.1", True),
    "a kubectl of the next minor version": ("kubectl", "Client Version: v1.36.0", True),
    "an old kubectl": ("kubectl", "Client Version: v1.32.4\nKustomize Version: v5.5.0", False),
    "a kubectl that only dispatches": ("kubectl", "Client Version: v1.35.4-dispatcher", False),
    "the kind we build": ("kind", "kind v0.33.0 go1.26.8 linux/amd64", True),
    "an old kind": ("kind", "kind v0.27.0 go1.23.6 linux/amd64", False),
    "helm 4": ("helm", "v4.3.1+g1234567", True),
    "helm 3": ("helm", "v3.17.0+g301108e", False),
    "no answer": ("helm", "", False),
}


@pytest.mark.parametrize("case", ANSWERS.values(), ids=ANSWERS.keys())
def test_version_answers(case):
    name, answer, want = case
    assert tools.fits(tools.PROGRAMS[name], answer) is want


def test_every_program_has_a_pinned_module():
    modules = {program.module for program in tools.PROGRAMS.values()} - {tools.PAUSE}
    assert len(modules) == 9
    assert all(module.version.startswith("v") for module in modules)
    assert all((module.folder / "go.sum").stat().st_size > 0 for module in modules)


def test_kubernetes_learns_its_version_from_go_mod():
    assert f"version.gitVersion={tools.KUBERNETES.version}" in tools.KUBERNETES.ldflags
    assert "version.gitMinor=35" in tools.KUBERNETES.ldflags


def test_a_build_is_found_by_the_hash_of_its_module(own_cache):
    program = tools.PROGRAMS["etcd"]
    assert program.path == own_cache / "bin" / f"etcd-{program.module.key}" / "etcd"
    assert tools.ETCD.key != tools.COREDNS.key


def test_links_lead_to_what_was_found(own_cache, tmp_path):
    found = {}
    for name in tools.USER_PROGRAMS:
        found[name] = tmp_path / name
        found[name].touch()
    folder = tools._links("path", found)
    assert [(folder / name).readlink() for name in tools.USER_PROGRAMS] == list(found.values())
    assert folder == cache.root() / "path"
