"""A job goes while the operator's watch is lost, so that nobody tells of it: then nothing is made for it any more."""

import pytest
from cluster.kinds import FINE_TUNE_JOB, JOB
from invariants import OPERATOR
from shapes import SPEC
from simulation import Simulation
from test_inspected_histories import UNKNOWN


def goes_unseen(story):
    story.deletes_namespace()
    while story._space() is not None:
        story.nodes_work()
        story.controllers_work()
    story.provides()
    for door in story.operator.streams:
        story.lists_again(door, 0)


@pytest.mark.parametrize("model", [SPEC["model"], UNKNOWN], ids=["that is trained", "that nobody knows"])
@pytest.mark.parametrize("moment", range(7))
def test_nothing_is_made_again_for_a_job_that_went_unseen(moment, model):
    story = Simulation()
    story._ask("POST", FINE_TUNE_JOB, "", {"metadata": {"name": "anna"}, "spec": {**SPEC, "model": model}})
    story.time_passes(moment)
    goes_unseen(story)
    written = len(story.api.writes)
    story.waits(600)
    mine = [one for one in story.api.writes[written:] if one.who.startswith(OPERATOR)]
    assert sum(one.kind is JOB and one.verb == "create" for one in mine) <= 1
    assert len(mine) <= 3
