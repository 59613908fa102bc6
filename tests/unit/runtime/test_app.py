"""What the operator finds out before it begins."""

import asyncio

import pytest
from finetune_operator.cluster.client import RESOURCES
from finetune_operator.cluster.errors import Unreachable
from finetune_operator.planning.profiles import MultiNode, Profiles, TrainerProfile
from finetune_operator.runtime.app import CannotStart, _with_jobsets


class Server:
    """Says whether it has JobSets, or nothing."""

    def __init__(self, answer):
        self.answer, self.asked, self.jobsets = answer, [], False

    async def serves(self, resource):
        self.asked.append(resource)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def decided(wish, answer):
    server = Server(answer)
    profiles = Profiles(trainer=TrainerProfile(multi_node=wish, image="ours"))
    found = asyncio.run(_with_jobsets(server, profiles))
    assert found.trainer.image == "ours"
    assert server.jobsets == answer
    return found.trainer.multi_node, server.asked


@pytest.mark.parametrize("there", [True, False])
def test_an_operator_of_jobs_makes_jobs_and_sees_the_jobsets_of_before(there):
    assert decided(MultiNode.JOBS, there) == (MultiNode.JOBS, [RESOURCES["JobSet"]])


@pytest.mark.parametrize(("there", "want"), [(True, MultiNode.JOBSET), (False, MultiNode.JOBS)])
def test_auto_takes_what_the_cluster_has(there, want):
    assert decided(MultiNode.AUTO, there) == (want, [RESOURCES["JobSet"]])


def test_jobsets_that_are_asked_for_have_to_be_there():
    assert decided(MultiNode.JOBSET, True)[0] is MultiNode.JOBSET
    with pytest.raises(CannotStart, match=r"multiNode: jobset: no jobset\.x-k8s\.io/v1alpha2 .* install JobSet"):
        decided(MultiNode.JOBSET, False)


@pytest.mark.parametrize("wish", MultiNode)
def test_an_api_server_that_does_not_say_is_not_taken_for_one_without(wish):
    with pytest.raises(CannotStart, match="does not say: gone"):
        decided(wish, Unreachable(0, "gone"))
