"""A request of a former leader arrives after its successor has ended the job."""

from cluster import objects
from cluster.kinds import FINE_TUNE_JOB, JOB, POD
from simulation import TEAM, Simulation


def test_a_job_that_appears_after_the_end_goes_again():
    story = Simulation()
    story.applies("anna", "asleep", "it fits")
    story.time_passes(1)
    story.changes("anna", suspend=False)
    story.operator.deliver_all()
    while story.operator.step(0) != "create /apis/batch/v1/namespaces/team/jobs":
        pass
    story.hands_over(0)
    story.changes("anna", cancel=True)
    story.operator_works()
    assert story.api.get(FINE_TUNE_JOB, TEAM, "anna")["status"]["phase"] == "Cancelled"
    story.request_lands()
    assert story.api.all(JOB, TEAM)
    story.time_passes(10)
    assert not story.api.all(JOB, TEAM)
    assert all(objects.ended(pod) for pod in story.api.all(POD, TEAM))
    assert story.api.get(FINE_TUNE_JOB, TEAM, "anna")["status"]["phase"] == "Cancelled"
