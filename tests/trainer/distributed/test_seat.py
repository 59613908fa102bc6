"""Which process of how many this one is, by the words of torchrun and Kubernetes."""

import pytest
from finetune_trainer.contract import DistributionSettings, FailureReason
from finetune_trainer.distributed.seat import DEFAULT_PORT, Seat, of_node, taken
from finetune_trainer.process.failures import TrainerFailure

TWO_HERE = DistributionSettings(strategy="ddp", processes_per_node=2)
TWO_NODES = DistributionSettings(strategy="ddp", nodes=2)
FOUR = DistributionSettings(strategy="ddp", nodes=2, processes_per_node=2)
MEETING = {"MASTER_ADDR": "reviews-1-0.ranks", "MASTER_PORT": "29500"}


def test_one_process_sits_alone_whatever_the_environment_says():
    assert taken(DistributionSettings(), {"JOB_COMPLETION_INDEX": "3"}) == Seat()


def test_several_processes_of_a_node_are_still_to_be_started():
    assert taken(TWO_HERE, {}) is None
    first, second = of_node(TWO_HERE, {})
    assert (first.rank, second.rank, first.size, second.local_size) == (0, 1, 2, 2)
    assert first.port == second.port != 0


def test_a_pod_of_an_indexed_job_knows_its_place():
    seat = taken(TWO_NODES, {"JOB_COMPLETION_INDEX": "1", **MEETING})
    assert (seat.rank, seat.size, seat.local_rank, seat.host) == (1, 2, 0, "reviews-1-0.ranks")


def test_processes_are_numbered_through_over_all_nodes():
    seats = of_node(FOUR, {"JOB_COMPLETION_INDEX": "1", **MEETING})
    assert [(seat.rank, seat.local_rank, seat.port) for seat in seats] == [(2, 0, DEFAULT_PORT), (3, 1, DEFAULT_PORT)]


def test_a_started_process_reads_back_the_seat_it_was_given():
    for seat in of_node(FOUR, {"NODE_RANK": "0", **MEETING}):
        assert taken(FOUR, seat.words) == seat


REFUSED = {
    "no number of the node": (TWO_NODES, MEETING, "NODE_RANK 0 to 1"),
    "no first node": (TWO_NODES, {"NODE_RANK": "0"}, "MASTER_ADDR"),
    "a node too many": (TWO_NODES, {"NODE_RANK": "2", **MEETING}, "NODE_RANK 0 to 1"),
    "another number of processes than planned": (
        TWO_HERE,
        {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "4", **MEETING},
        "WORLD_SIZE is 4",
    ),
    "half of torchrun's words": (TWO_HERE, {"RANK": "0", **MEETING}, "WORLD_SIZE"),
}


@pytest.mark.parametrize(("distribution", "environment", "want"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_with_what_is_missing(distribution, environment, want):
    with pytest.raises(TrainerFailure, match=want) as refused:
        taken(distribution, environment)
    assert refused.value.reason is FailureReason.INVALID_RUN
