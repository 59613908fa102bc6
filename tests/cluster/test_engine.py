"""The private engine: what it must not depend on."""

import os
import shutil

import cache
import engine


def test_the_engine_outlives_the_checkout_that_started_it(own_cache, tmp_path, monkeypatch):
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copy(cache.HERE / "runc-held-caps", checkout)
    monkeypatch.setattr(cache, "HERE", checkout)
    runtime = engine.held_runtime()
    shutil.rmtree(checkout)
    assert own_cache in runtime.parents
    assert os.access(runtime, os.X_OK)


def test_the_runtime_of_a_running_engine_is_never_overwritten(own_cache):
    assert engine.held_runtime() == engine.held_runtime()
    assert engine.held_runtime().read_bytes() == (cache.HERE / "runc-held-caps").read_bytes()
