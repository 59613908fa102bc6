"""Many jobs at once: each is begun before anything is said of the first."""

from modelled_operator import Operator
from simulation import NAMES, Simulation


def written(story: Simulation, operator: Operator) -> list[str]:
    """Let one worker of the operator do all that there is to do; return what it created or wrote a status of."""
    while operator.step(0) is not None:
        pass
    return [f"{write.verb} {write.kind}" for write in story.api.writes if write.who == operator.name]


def test_all_jobs_of_a_burst_are_begun_before_the_first_status_is_written():
    story = Simulation()
    for name in NAMES:
        story.applies(name, "plain", "it fits")
    assert story.operator is not None
    story.operator.deliver_all()
    begun, told, posted = ["create PersistentVolumeClaim", "create Job"], ["patchstatus FineTuneJob"], ["create Event"]
    assert written(story, story.operator) == 2 * begun + 2 * told + 2 * posted
