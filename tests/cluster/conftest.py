"""Make the modules of e2e/cluster importable; they are a program that runs from its folder, not a package."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "e2e" / "cluster"))


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Keep a test's cache apart from the machine's."""
    monkeypatch.setenv("FINETUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
