"""Histories of jobs whose model nobody knows: it is read before they are planned, whatever happens meanwhile."""

import dataclasses
import os

import pytest
from cluster import objects
from cluster.kinds import FINE_TUNE_JOB, JOB
from cluster.nodes import NO_CONFIG
from finetune_operator.api import keys
from finetune_operator.cluster import observe
from finetune_operator.reconcile import inspection
from finetune_operator.reconcile.actions import Delete
from histories import History, check
from hypothesis import Phase
from hypothesis import strategies as some
from hypothesis.stateful import initialize, rule
from invariants import READING
from shapes import SPEC
from simulation import NAMES

HISTORIES = int(os.environ.get("HISTORIES", "2000")) // 20
FOR_A_BUG = 150
"""Histories in which a bug has to show; one of the first 4 to 60 does, in most draws one of the first ten."""

UNKNOWN = {"name": "of-their-own", "source": {"claim": {"name": "shared", "path": "own"}}}
SHAPES = {
    "of a model that nobody knows": {"model": UNKNOWN},
    "of a model that nobody knows, asleep": {"model": UNKNOWN, "suspend": True},
    "of a model that nobody knows, with a deadline": {"model": UNKNOWN, "activeDeadlineSeconds": 40},
    "of a model without a config": {"model": {**UNKNOWN, "name": NO_CONFIG}},
    "of a model without a config, with a time to live": {
        "model": {**UNKNOWN, "name": NO_CONFIG},
        "ttlSecondsAfterFinished": 30,
    },
}
SOME_SHAPE = some.sampled_from(sorted(SHAPES))


class InspectedHistory(History):
    """All that happens elsewhere, to such jobs."""

    @initialize(shape=SOME_SHAPE, ticks=some.integers(0, 8))
    def a_job_is_applied_first(self, shape, ticks):
        self._applies("anna", shape)
        self.story.time_passes(ticks)

    @rule(name=some.sampled_from(NAMES), shape=SOME_SHAPE)
    def a_user_applies_a_job_of_an_unknown_model(self, name, shape):
        self._applies(name, shape)

    def _applies(self, name, shape):
        spec = {**SPEC, **SHAPES[shape]}
        code, _ = self.story._ask("POST", FINE_TUNE_JOB, "", {"metadata": {"name": name}, "spec": spec})
        self.story.tell(f"a user applies {name}, {shape}: {code}")

    def teardown(self):
        super().teardown()
        for job in self.story.api.all(FINE_TUNE_JOB):
            _is_read_first(job)
        read = [one for one in self.story.api.all(JOB) if one["metadata"]["labels"].get(keys.LABEL_ATTEMPT) == READING]
        left = [one for one in read if objects.controller(one) is not None]  # else a user asked to orphan it
        assert not left, f"{[one['metadata']['name'] for one in left]} is of no more use"


def _is_read_first(job):
    """Nothing is planned of a model that was not read, and nothing is refused that was."""
    name, status = job["metadata"]["name"], job.get("status") or {}
    model, reason = job["spec"]["model"]["name"], (status.get("columns") or {}).get("reason")
    if model not in {UNKNOWN["name"], NO_CONFIG}:
        return
    read = "modelShape" in status
    assert bool(status.get("plan")) == read, f"{name} is planned, and its model was not read"
    assert not (read and model == NO_CONFIG), f"{name} has numbers of a model that has none"
    assert not status.get("attempts") or read, f"{name} was tried, and nobody knows its model"
    assert reason != "UnknownModel", f"{name} is refused, and nobody has looked at its model"
    assert (reason == "ModelConfigMissing") <= (model == NO_CONFIG), f"{name} is refused, and its model is there"


def test_every_history_of_an_unknown_model_ends_well():
    check(HISTORIES, kind=InspectedHistory)


def begins_without_looking(monkeypatch):
    monkeypatch.setattr(inspection, "pending", lambda _seen: False)


def leaves_it_behind(monkeypatch):
    monkeypatch.setattr(inspection, "tidied", lambda _seen, decision: decision)


def deletes_it_whichever_it_is(monkeypatch):
    def careless(seen, decision):
        found = real(seen, decision)
        actions = tuple(dataclasses.replace(one, uid=None) if isinstance(one, Delete) else one for one in found.actions)
        return dataclasses.replace(found, actions=actions)

    real = inspection.tidied
    monkeypatch.setattr(inspection, "tidied", careless)


def makes_it_again_for_a_job_that_is_gone(monkeypatch):
    monkeypatch.setattr(observe, "_lost", lambda *_: False)


BUGS = [
    begins_without_looking,
    leaves_it_behind,
    deletes_it_whichever_it_is,
    makes_it_again_for_a_job_that_is_gone,
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__.replace("_", " "))
def test_such_histories_find(bug, monkeypatch):
    bug(monkeypatch)
    with pytest.raises(AssertionError):
        check(FOR_A_BUG, (Phase.generate,), InspectedHistory)
