"""Two processes at one training, on gloo: the same numbers as one, stopped and gone on with, and ended together."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from finetune_trainer.contract import DistributionSettings, ExitCode, FailureReason, Outcome
from safetensors.torch import load_file
from torch.testing import assert_close

STEPS = 24
TOGETHER_SECONDS = 40
"""Longest from the death of one process to the end of the other; two cores may be shared with other tests."""

DDP = DistributionSettings(strategy="ddp", processes_per_node=2)


def zero(stage, **offload):
    return DistributionSettings(strategy="deepspeed", zero_stage=stage, processes_per_node=2, **offload)


def a_chat(a_small_run, distribution, *, steps=STEPS, method="full", **changes):
    """Rows of 8 at each step, however many processes read them."""
    run = a_small_run(
        task="chat",
        method=method,
        rows=60,
        training__max_steps=steps,
        training__micro_batch_size=4,
        training__gradient_accumulation_steps=2 // distribution.processes_per_node,
        checkpoints__every_steps=None,
        **changes,
    )
    return replace(run, distribution=distribution)


def elsewhere(run, tmp_path, name):
    """The same run with folders of its own."""
    return replace(
        run,
        checkpoints=replace(run.checkpoints, directory=str(tmp_path / name / "checkpoints")),
        output=replace(run.output, directory=str(tmp_path / name / "output")),
        reporting=replace(run.reporting, termination_log=str(tmp_path / name / "termination-log")),
    )


def losses(run):
    document = json.loads((Path(run.output.directory) / "report.json").read_text(encoding="utf-8"))
    return {point["step"]: point["loss"] for point in document["history"]["training"]}


@pytest.fixture
def alone(a_small_run, carry_out, tmp_path):
    """Give losses and report of one process."""

    def train(**options):
        run = elsewhere(a_chat(a_small_run, DistributionSettings(), **options), tmp_path, "alone")
        (tmp_path / "alone").mkdir()
        code, report = carry_out(run)
        assert code == ExitCode.SUCCEEDED
        return losses(run), report

    return train


@pytest.fixture
def together(start, finish, tmp_path):
    """Carry out a run in two processes; `amid` is called with the process at the first step."""

    def train(run, amid=None, launcher=()):
        (Path(run.reporting.termination_log).parent).mkdir(exist_ok=True)
        process, said = start(run, launcher), []
        for line in process.stdout:
            said.append(line)
            if amid and line.startswith("step "):
                amid(process)
                amid = None
        code, report = finish(process, run)
        return code, report, "".join(said)

    return train


def children(process):
    """Numbers of the processes that a launch has started, by rank."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if status.read_text().rpartition(")")[2].split()[1] == str(process.pid):
                rank = re.search(rb"\0RANK=(\d+)\0", (status.parent / "environ").read_bytes())
                found[int(rank[1])] = int(status.parent.name)
    return found


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")

ENGINES = {
    "ZeRO 0": ("full", zero(0), "ZeRO 0 DeepSpeedEngine"),
    "ZeRO 1 with offloaded optimizer": (
        "lora",
        zero(1, offload_optimizer=True),
        "ZeRO 1 with offloaded optimizer DeepSpeedEngine",
    ),
    "ZeRO 3 with everything offloaded": (
        "lora",
        zero(3, offload_optimizer=True, offload_parameters=True),
        "ZeRO 3 with offloaded optimizer and parameters DeepSpeedEngine",
    ),
    "DDP of quantized weights, started by torchrun": ("qlora", DDP, "DistributedDataParallel", TORCHRUN),
}


@pytest.mark.parametrize("case", ENGINES.values(), ids=ENGINES)
def test_two_processes_learn_what_one_does(  # noqa: PLR0917
    a_small_run, alone, together, tmp_path, case
):
    method, distribution, engine, *launcher = case
    want, report_alone = alone(steps=4, method=method)
    run = a_chat(a_small_run, distribution, steps=4, method=method)
    code, report, said = together(run, launcher=tuple(*launcher))
    assert code == ExitCode.SUCCEEDED
    assert f"engine: {engine} on 2 processes" in said
    assert losses(run) == pytest.approx(want, abs=2e-4)
    assert report.metrics_before == pytest.approx(report_alone.metrics_before, rel=1e-3)
    assert report.metrics_after == pytest.approx(report_alone.metrics_after, rel=1e-3)
    assert report.trained_tokens == report_alone.trained_tokens
    assert report.trainable_parameters == report_alone.trainable_parameters
    for name, weight in delivered(elsewhere(run, tmp_path, "alone")).items():
        assert_close(delivered(run)[name], weight, atol=2e-4, rtol=0)


def delivered(run):
    """The weights that a run has delivered: its adapter, or its model."""
    (file,) = Path(run.output.directory).glob("*/*.safetensors")
    return load_file(file)


def test_pairs_are_measured_as_by_one_process_where_the_model_as_it_came_is_divided_too(
    a_small_run, together, carry_out, tmp_path
):
    """Of 55 rows 11 are held out, which two processes cannot share out evenly."""

    def preferring(distribution, name):
        run = a_small_run(
            task="preference",
            method="full",
            rows=55,
            training__max_steps=2,
            training__micro_batch_size=4,
            training__gradient_accumulation_steps=2 // distribution.processes_per_node,
            checkpoints__every_steps=None,
        )
        return elsewhere(replace(run, distribution=distribution), tmp_path, name)

    (tmp_path / "alone").mkdir()
    _code, want = carry_out(preferring(DistributionSettings(), "alone"))
    code, found, said = together(preferring(zero(3), "together"))
    assert (code, "engine: ZeRO 3 DeepSpeedEngine on 2 processes" in said) == (ExitCode.SUCCEEDED, True)
    assert found.metrics_after == pytest.approx(want.metrics_after, abs=2e-3)
    assert found.metrics_after["reward-margin"] > 0


def stop_the_second(process):
    os.kill(children(process)[1], signal.SIGTERM)


def stop_all(process):
    process.send_signal(signal.SIGTERM)


STOPPED = {"DDP, by one of its processes": (DDP, stop_the_second), "ZeRO 2, from outside": (zero(2), stop_all)}


@pytest.mark.parametrize(("distribution", "stop"), STOPPED.values(), ids=STOPPED)
def test_stopped_together_and_gone_on_with_it_learns_as_if_nothing_had_happened(  # noqa: PLR0913, PLR0917
    a_small_run, alone, together, carry_out, tmp_path, distribution, stop
):
    run = a_chat(a_small_run, distribution)
    straight = elsewhere(run, tmp_path, "straight")
    assert together(straight)[0] == ExitCode.SUCCEEDED
    assert losses(straight) == pytest.approx(alone()[0], abs=2e-3)
    code, stopped, _said = together(run, amid=stop)
    assert (code, stopped.outcome) == (ExitCode.SUSPENDED, Outcome.SUSPENDED)
    assert 1 <= stopped.step == stopped.checkpoint_step < STEPS
    if distribution.strategy == "deepspeed":
        refused_alone(a_small_run, carry_out)
    else:
        run_alone = elsewhere(a_chat(a_small_run, DistributionSettings()), tmp_path, "goes on alone")
        shutil.copytree(run.checkpoints.directory, run_alone.checkpoints.directory)
        code, resumed = carry_out(run_alone)
        assert (code, resumed.resumed_from_step, resumed.step) == (ExitCode.SUCCEEDED, stopped.step, STEPS)
        assert losses(run_alone) == pytest.approx(losses(straight), abs=2e-3)
    code, resumed, _said = together(run)
    assert (code, resumed.resumed_from_step, resumed.step) == (ExitCode.SUCCEEDED, stopped.step, STEPS)
    assert losses(run) == losses(straight)
    assert (
        resumed.trained_tokens
        == json.loads((Path(straight.output.directory) / "report.json").read_text())["trainedTokens"]
    )


def refused_alone(a_small_run, carry_out):
    code, report = carry_out(a_chat(a_small_run, DistributionSettings()))
    assert (code, report.reason) == (ExitCode.INVALID_RUN, FailureReason.INVALID_RUN)
    assert "deepspeed at ZeRO stage 2 on 2 processes" in report.message
    assert "to begin again" in report.message


ONE_OF_TWO = """
import os, sys
from finetune_trainer.distributed.seat import Seat
from finetune_trainer.distributed.world import World

def follow(ending):
    print(ending.rank, ending.reason, ending.message, flush=True)
    os._exit(22)

rank = int(sys.argv[1])
world = World(Seat(rank=rank, size=2, local_rank=rank, local_size=2, port=int(sys.argv[2])))
world.join(follow)
assert world.agree(rank == 1, False) == (True, False)
assert world.share(lambda: "of the first") == "of the first"
if rank == 1:
    world.part("StorageFull", "no room")
    os._exit(22)
world.wait()
"""


def test_a_process_waiting_for_another_hears_why_that_one_ended():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "trainer")}
    first, second = (
        subprocess.Popen(
            [sys.executable, "-c", ONE_OF_TWO, str(rank), str(port)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    )
    said, _errors = first.communicate(timeout=TOGETHER_SECONDS)
    second.communicate(timeout=TOGETHER_SECONDS)
    assert "1 StorageFull no room" in said.splitlines()
    assert (first.returncode, second.returncode) == (22, 22)


def test_a_process_that_is_killed_ends_the_other_which_tells(a_small_run, together):
    killed = []

    def kill_the_second(process):
        killed.append(time.monotonic())
        os.kill(children(process)[1], signal.SIGKILL)

    run = a_chat(a_small_run, DDP, steps=500)
    code, report, _said = together(run, amid=kill_the_second)
    assert time.monotonic() - killed[0] < TOGETHER_SECONDS
    assert code != ExitCode.SUCCEEDED
    assert (report.outcome, report.reason) == (Outcome.FAILED, FailureReason.TRAINER_ERROR)
    assert "lost contact with another one" in report.message
