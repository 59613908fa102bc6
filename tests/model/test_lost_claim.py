"""Somebody deletes a job's claim while it trains: the next attempt begins from nothing, and status says so.

The random histories come to this too, but seldom to the moments between.
"""

import pytest
from cluster import objects
from cluster.kinds import CLAIM, FINE_TUNE_JOB, POD
from simulation import TEAM, Simulation


def job(story):
    return story.api.get(FINE_TUNE_JOB, TEAM, "anna")


def told(story):
    status = job(story)["status"]
    available = next(one for one in status["conditions"] if one["type"] == "CheckpointAvailable")
    return (status.get("checkpoint") or {}).get("step"), available["status"]


@pytest.mark.parametrize("moment", range(7, 11))
def test_a_checkpoint_goes_with_its_claim(moment):
    story = Simulation()
    story.applies("anna", "plain", "it fits")
    story.time_passes(moment)
    step, available = told(story)
    assert (step in {2, 4}, available) == (True, "True")
    (own,) = (
        n for n, one in enumerate(story.api.all(CLAIM, TEAM)) if objects.controller(one) == objects.uid(job(story))
    )
    story.deletes_by_hand(CLAIM, own, "Background")
    story.deletes_by_hand(POD, 0, "Background")
    seen = []
    while job(story)["status"]["phase"] != "Succeeded":
        story.time_passes(1)
        seen.append(told(story))
    assert (None, "False") in seen
    assert seen[seen.index((None, "False")) :][-1] == (6, "True")
    assert [one["reason"] for one in job(story)["status"]["attempts"]] == ["Interrupted", "Succeeded"]
