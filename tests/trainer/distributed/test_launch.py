"""Starting the processes of a node, and how they end together."""

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from finetune_trainer.contract import DistributionSettings, to_json
from finetune_trainer.distributed.launch import seats_to_fill

TRAINER = Path(__file__).parents[3] / "trainer"
ENDS_SECONDS = 20
"""Longest that a launch of programs that end at once may take."""

PROGRAM = """
import os, signal, subprocess, sys, time
from finetune_trainer.distributed import launch
from finetune_trainer.distributed.seat import Seat
launch.LAST_WORDS_SECONDS = 0.2
if "RANK" in os.environ:
    {worker}
{launcher}
sys.exit(launch.launch([Seat(rank=n, size=2, local_rank=n, local_size=2) for n in range(2)]))
"""


@pytest.fixture
def start():
    started = []

    def begin(worker, launcher=""):
        command = [sys.executable, "-c", PROGRAM.format(worker=worker, launcher=launcher)]
        environment = {**os.environ, "PYTHONPATH": str(TRAINER)}
        started.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
        )
        return started[-1]

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with what it started, which holds the pipe open
        process.communicate()


ENDS = {
    "all well": ("sys.exit(0)", 0),
    "one fails while another would go on": ("sys.exit(23) if os.environ['RANK'] == '1' else signal.pause()", 23),
    "one is killed": ("os.kill(os.getpid(), 9) if os.environ['RANK'] == '1' else sys.exit(0)", 137),
}


@pytest.mark.parametrize(("worker", "want"), ENDS.values(), ids=ENDS)
def test_the_exit_status_is_that_of_the_first_that_failed(start, worker, want):
    assert start(worker).wait(ENDS_SECONDS) == want


STOPS_WHEN_ASKED = r"""signal.signal(15, lambda *_: sys.exit(30)); os.write(1, b'ready\n')
    while True: time.sleep(0.05)"""


def test_a_request_to_stop_reaches_every_process(start):
    process = start(STOPS_WHEN_ASKED)
    assert [process.stdout.readline() for _ in range(2)] == ["ready\n", "ready\n"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(ENDS_SECONDS) == 30


STARTS_SLOWLY = """
start_one = subprocess.Popen
def slowly(*words, **settings):
    process = start_one(*words, **settings)
    time.sleep(1)
    return process
subprocess.Popen = slowly
"""


def test_a_request_to_stop_that_comes_while_processes_are_started_reaches_those_that_are(start):
    process = start(STOPS_WHEN_ASKED, launcher=STARTS_SLOWLY)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(ENDS_SECONDS) == 30
    assert process.stdout.read() == "", "another was started after the request"


def test_only_several_processes_of_a_node_are_started(a_run, tmp_path):
    file = tmp_path / "run.json"
    for distribution, want in (
        (DistributionSettings(), 0),
        (DistributionSettings(strategy="ddp", processes_per_node=2), 2),
    ):
        file.write_text(to_json(replace(a_run(), distribution=distribution)), encoding="utf-8")
        assert len(seats_to_fill(file)) == want


def test_a_run_that_cannot_be_read_is_left_to_the_attempt_to_tell_about(tmp_path):
    assert seats_to_fill(tmp_path / "missing.json") == ()
