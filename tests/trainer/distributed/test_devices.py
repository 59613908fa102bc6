"""Processes of one pod tell each other what they hold of their devices."""

import tempfile

import pytest
from finetune_trainer.contract import JobIdentity
from finetune_trainer.distributed.devices import Devices
from finetune_trainer.distributed.seat import Seat

JOB = JobIdentity(namespace="team", name="reviews", uid="u", attempt=1)


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def seat(local, node=0):
    return Seat(rank=node * 2 + local, size=4, local_rank=local, local_size=2)


def test_the_first_process_of_a_pod_knows_what_all_of_them_hold():
    first, second = Devices(JOB, seat(0)), Devices(JOB, seat(1))
    first.note(10)
    assert first.held() == {0: 10}
    second.note(5_000_000_000)
    assert first.held() == {0: 10, 1: 5_000_000_000}


def test_pods_do_not_mix_what_they_hold():
    here, there = Devices(JOB, seat(0)), Devices(JOB, seat(0, node=1))
    here.note(10)
    assert there.held() == {}


def test_without_a_place_for_files_a_process_knows_of_itself(scratch, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(scratch / "nowhere"))
    alone = Devices(JOB, seat(0))
    alone.note(10)
    assert alone.held() == {0: 10}
