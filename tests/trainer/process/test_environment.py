import os
import sys

import pytest
from finetune_trainer.process import environment

QUOTAS = {"max 100000": len(os.sched_getaffinity(0)), "50000 100000": 1, "100000 100000": 1, "garbage": None}


@pytest.mark.parametrize(("content", "want"), QUOTAS.items())
def test_no_more_threads_than_the_container_may_use(tmp_path, content, want):
    quota = tmp_path / "cpu.max"
    quota.write_text(content)
    assert environment.usable_cpus(quota) == (want or len(os.sched_getaffinity(0)))


def test_without_cgroups_all_cpus_count(tmp_path):
    assert environment.usable_cpus(tmp_path / "absent") == len(os.sched_getaffinity(0))


def test_a_hidden_library_looks_absent(monkeypatch):
    monkeypatch.delitem(sys.modules, "a_library_of_this_test", raising=False)
    environment.hide(["a_library_of_this_test"])
    with pytest.raises(ModuleNotFoundError):
        __import__("a_library_of_this_test")
    del sys.modules["a_library_of_this_test"]


def test_a_pod_without_home_gets_writable_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/")
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in environment.CACHES:
        if name != "HOME":
            monkeypatch.setenv(name, "to be put back")
            monkeypatch.delenv(name)
    environment._use_writable_folders()
    assert {os.environ[name].startswith(str(tmp_path)) for name in environment.CACHES} == {True}


def test_a_model_in_a_folder_forbids_the_hub(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "0")
    environment.go_offline()
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_processes_of_a_node_share_its_threads(monkeypatch):
    monkeypatch.setattr(environment, "usable_cpus", lambda: 8)
    for processes, want in (("1", "8"), ("3", "2"), ("16", "1")):
        monkeypatch.setenv("OMP_NUM_THREADS", "to be put back")
        monkeypatch.delenv("OMP_NUM_THREADS")
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        monkeypatch.setattr(environment.launch, "die_with_parent", lambda: None)
        environment.prepare()
        assert os.environ["OMP_NUM_THREADS"] == want
