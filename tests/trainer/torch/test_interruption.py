"""What a run survives: being stopped, damaged checkpoints, a full disk, numbers that break."""

import contextlib
import json
import math
import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from finetune_trainer.contract import ExitCode, FailureReason, Outcome, PeftSettings, TechniqueSettings

STOP_SECONDS = 20
"""Longest from SIGTERM to the end of the process; a pod gets 30 s by default."""


def checkpoints(run):
    return sorted(path.name for path in Path(run.checkpoints.directory).glob("checkpoint-*"))


@contextlib.contextmanager
def stopping_at(step, monkeypatch):
    """Send SIGTERM to this process at the end of a step."""
    from finetune_trainer.reporting.callback import ReportingCallback

    on_step_end = ReportingCallback.on_step_end

    def send(self, args, state, control, **more):
        on_step_end(self, args, state, control, **more)
        if state.global_step == step:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(ReportingCallback, "on_step_end", send)
        yield


def with_dropout(run):
    return replace(run, technique=replace(run.technique, lora=replace(run.technique.lora, dropout=0.1)))


def elsewhere(run, tmp_path):
    return replace(run, checkpoints=replace(run.checkpoints, directory=str(tmp_path / "elsewhere")))


@pytest.mark.parametrize("task", ["text-classification", "chat"])
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(  # noqa: PLR0917
    a_small_run, carry_out, monkeypatch, tmp_path, task
):
    run = with_dropout(a_small_run(task=task, training__max_steps=6, checkpoints__every_steps=None))
    _code, straight = carry_out(elsewhere(run, tmp_path))
    with stopping_at(3, monkeypatch):
        code, stopped = carry_out(run)
    assert (code, stopped.outcome, stopped.checkpoint_step) == (ExitCode.SUSPENDED, Outcome.SUSPENDED, 3)
    code, resumed = carry_out(run)
    assert (code, resumed.resumed_from_step, resumed.step) == (ExitCode.SUCCEEDED, 3, 6)
    assert resumed.final_loss == pytest.approx(straight.final_loss, rel=1e-5)
    assert resumed.metrics_after == straight.metrics_after
    assert resumed.metrics_before == stopped.metrics_before
    assert resumed.trained_tokens == straight.trained_tokens


def losses(run):
    document = json.loads((Path(run.output.directory) / "report.json").read_text(encoding="utf-8"))
    return {point["step"]: point["loss"] for point in document["history"]["training"]}


ADALORA = TechniqueSettings(
    method="peft",
    lora=None,
    quantization=None,
    peft=PeftSettings(type="adalora", options={"init_r": 8, "target_r": 4, "tinit": 1, "tfinal": 2}),
)
METHODS = {"full": {}, "lora": {}, "qlora": {}, "adalora": {"technique": ADALORA}}


@pytest.mark.parametrize("method", METHODS)
def test_every_loss_after_a_stop_is_bit_by_bit_that_of_a_run_without_one(a_small_run, carry_out, monkeypatch, method):
    known = method if method != "adalora" else "lora"
    run = a_small_run(task="chat", method=known, rows=60, training__max_steps=8, evaluation__baseline=False)
    run = replace(run, checkpoints=replace(run.checkpoints, every_steps=None), **METHODS[method])
    carry_out(replace(run, job=replace(run.job, uid="another"), checkpoints=replace(run.checkpoints, keep=9)))
    straight = losses(run)
    with stopping_at(4, monkeypatch):
        carry_out(run)
    _code, resumed = carry_out(run)
    assert resumed.resumed_from_step == 4
    assert sorted(straight) == list(range(1, 9))
    assert losses(run) == straight


@contextlib.contextmanager
def out_of_memory_at(step, monkeypatch):
    """Raise what torch raises where a device has no room left, after the backward pass of a step."""
    import torch
    from transformers import Trainer

    training_step = Trainer.training_step

    def allocate(self, *given, **more):
        loss = training_step(self, *given, **more)
        if self.state.global_step == step - 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "training_step", allocate)
        yield


def test_after_running_out_of_memory_a_smaller_micro_batch_goes_on(a_small_run, carry_out, monkeypatch, tmp_path):
    run = a_small_run(task="chat", training__max_steps=6, evaluation__baseline=False)
    carry_out(elsewhere(run, tmp_path))
    straight = losses(run)
    with out_of_memory_at(3, monkeypatch):
        code, report = carry_out(run)
    assert (code, report.reason) == (ExitCode.GPU_OUT_OF_MEMORY, FailureReason.GPU_OUT_OF_MEMORY)
    assert (report.step, report.checkpoint_step, checkpoints(run)) == (2, 2, ["checkpoint-2"])
    half = replace(run, training=replace(run.training, micro_batch_size=4, gradient_accumulation_steps=2))
    code, resumed = carry_out(half)
    assert (code, resumed.resumed_from_step, resumed.step) == (ExitCode.SUCCEEDED, 2, 6)
    assert losses(run) == pytest.approx(straight, rel=1e-3)


def test_a_run_stopped_after_its_last_step_trains_nothing_more(a_small_run, carry_out, monkeypatch):
    run = a_small_run(task="chat", training__max_steps=3)
    with stopping_at(3, monkeypatch):
        carry_out(run)
    code, report = carry_out(run)
    assert (code, report.resumed_from_step, report.step) == (ExitCode.SUCCEEDED, 3, 3)


def test_a_stop_amid_an_evaluation_saves_the_step_before_it(a_small_run, carry_out, monkeypatch):
    from finetune_trainer.training.callbacks import Saver

    on_prediction_step = Saver.on_prediction_step

    def send(self, args, state, control, **more):
        signal.raise_signal(signal.SIGTERM)
        on_prediction_step(self, args, state, control, **more)

    monkeypatch.setattr(Saver, "on_prediction_step", send)
    code, report = carry_out(a_small_run(task="chat", evaluation__every_steps=1, evaluation__baseline=False))
    assert (code, report.step, report.checkpoint_step) == (ExitCode.SUSPENDED, 1, 1)


def wait_for(process, words):
    for line in process.stdout:
        if words in line:
            return
    pytest.fail(f"the run ended before it said {words!r}")


def test_sigterm_ends_a_training_pod_within_seconds(a_small_run, start, finish):
    run = a_small_run(rows=400, training__max_steps=500, checkpoints__every_steps=None)
    process = start(run)
    wait_for(process, "step 1/500")
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, report = finish(process, run)
    assert time.monotonic() - asked < STOP_SECONDS
    assert (code, report.outcome) == (ExitCode.SUSPENDED, Outcome.SUSPENDED)
    assert report.checkpoint_step == report.step >= 1
    assert checkpoints(run) == [f"checkpoint-{report.step}"]


def test_sigterm_before_training_ends_at_once(a_small_run, start, finish):
    run = a_small_run()
    process = start(run)
    wait_for(process, "data:")
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, report = finish(process, run)
    assert time.monotonic() - asked < STOP_SECONDS
    assert (code, report.outcome, report.step) == (ExitCode.SUSPENDED, Outcome.SUSPENDED, 0)


def damage(run, name):
    file = Path(run.checkpoints.directory) / name / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(a_small_run, carry_out, monkeypatch):
    run = a_small_run(task="chat", training__max_steps=6)
    with stopping_at(4, monkeypatch):
        carry_out(run)
    damage(run, "checkpoint-4")
    code, report = carry_out(run)
    assert (code, report.resumed_from_step, report.step) == (ExitCode.SUCCEEDED, 2, 6)
    assert "checkpoint-4 is damaged (sha256 of adapter_model.safetensors differs)" in report.message
    assert checkpoints(run) == ["checkpoint-4", "checkpoint-6"]


def cut_the_manifest(run, name):
    os.truncate(Path(run.checkpoints.directory) / name / "manifest.json", 100)


@pytest.mark.parametrize("harm", [damage, cut_the_manifest])
def test_when_no_checkpoint_is_whole_the_user_decides(a_small_run, carry_out, monkeypatch, harm):
    run = a_small_run(task="chat", training__max_steps=6)
    with stopping_at(2, monkeypatch):
        carry_out(run)
    harm(run, "checkpoint-2")
    code, report = carry_out(run)
    assert (code, report.reason) == (ExitCode.CHECKPOINT_CORRUPT, FailureReason.CHECKPOINT_CORRUPT)
    assert "to begin again" in report.message


def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_good_checkpoint(a_small_run, carry_out):
    run = a_small_run(task="chat", training__learning_rate=1e30, checkpoints__every_steps=1)
    code, report = carry_out(run)
    assert (code, report.reason) == (ExitCode.NON_FINITE_LOSS, FailureReason.NON_FINITE_LOSS)
    assert "learningRate (now 1e+30)" in report.message
    assert checkpoints(run) == [f"checkpoint-{step}" for step in range(1, report.step)][-2:]
    assert report.final_loss is None or math.isfinite(report.final_loss)


@pytest.fixture
def small_disk(tmp_path):
    """Give a file system of a few MiB that can be made larger."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size, *, again=False):
        options = f"{'remount,' if again else ''}size={size}k"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if os.geteuid() != 0 or not mount(1024):
        pytest.skip("needs the right to mount a tmpfs")
    yield folder, mount
    subprocess.run(["umount", str(folder)], check=True)


FULL_DISKS = {"adapter": ("lora", 2200), "whole model": ("full", 36_000)}


@pytest.mark.parametrize(("method", "kilobytes"), FULL_DISKS.values(), ids=FULL_DISKS)
def test_a_full_disk_keeps_the_old_checkpoint_and_room_lets_the_run_go_on(  # noqa: PLR0917
    a_small_run, carry_out, small_disk, method, kilobytes
):
    folder, mount = small_disk
    mount(kilobytes, again=True)
    run = a_small_run(task="chat", method=method, checkpoints__directory=str(folder), evaluation__baseline=False)
    code, report = carry_out(run)
    assert (code, report.reason) == (ExitCode.STORAGE_FULL, FailureReason.STORAGE_FULL)
    assert "for the checkpoint of step 4" in report.message
    assert "checkpoint-2 stays good" in report.message
    assert checkpoints(run) == ["checkpoint-2"]
    mount(kilobytes * 4, again=True)
    code, report = carry_out(run)
    assert (code, report.resumed_from_step, report.step) == (ExitCode.SUCCEEDED, 2, 4)


def test_a_full_output_disk_loses_no_training(a_small_run, carry_out, small_disk):
    folder, mount = small_disk
    mount(64, again=True)
    run = a_small_run(task="chat", output__directory=str(folder / "out"), reporting__port=0)
    code, report = carry_out(run)
    assert (code, report.reason, report.checkpoint_step) == (ExitCode.STORAGE_FULL, FailureReason.STORAGE_FULL, 4)


@pytest.fixture
def told(monkeypatch):
    """Give every progress that is told from now on."""
    from finetune_trainer.reporting.journal import Journal

    seen, advance = [], Journal.advance

    def watch(self, **changes):
        advance(self, **changes)
        seen.append(self.progress)

    monkeypatch.setattr(Journal, "advance", watch)
    return seen


def test_progress_moves_with_each_step(a_small_run, carry_out, told):
    carry_out(a_small_run(task="chat", training__max_steps=5))
    steps = [progress.step for progress in told if progress.phase == "Training"]
    assert sorted(set(steps)) == [0, 1, 2, 3, 4, 5]
    assert [progress.phase.value for progress in told if progress.step == 0][:3] == [
        "ValidatingData",
        "LoadingModel",
        "EvaluatingBaseline",
    ]
    assert (told[-1].phase, told[-1].percent) == ("Done", 100)


@pytest.fixture
def a_step_takes(monkeypatch):
    """Set how many seconds each step takes by the clocks of a module."""
    from finetune_trainer.training.callbacks import Saver

    now, on_step_begin = [0.0], Saver.on_step_begin

    def let(module, seconds):
        def wait(self, args, state, control, **more):
            now[0] += seconds
            return on_step_begin(self, args, state, control, **more)

        monkeypatch.setattr(Saver, "on_step_begin", wait)
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0], time=time.time))

    return let


def test_a_checkpoint_is_due_after_so_many_seconds(a_small_run, carry_out, a_step_takes):
    from finetune_trainer.training import callbacks

    run = a_small_run(task="chat", training__max_steps=7, evaluation__baseline=False)
    a_step_takes(callbacks, 10)
    settings = replace(run.checkpoints, every_steps=None, every_seconds=25, keep=9)
    code, report = carry_out(replace(run, checkpoints=settings))
    assert code == ExitCode.SUCCEEDED
    assert checkpoints(run) == ["checkpoint-3", "checkpoint-6", "checkpoint-7"]
    assert report.train_seconds == 70


def test_speed_and_time_left_are_those_since_this_start(  # noqa: PLR0917
    a_small_run, carry_out, monkeypatch, a_step_takes, told
):
    from finetune_trainer.reporting import callback

    run = a_small_run(task="chat", training__max_steps=6, evaluation__baseline=False)
    a_step_takes(callback, 100)
    with stopping_at(3, monkeypatch):
        carry_out(run)
    before = told[-1].trained_tokens
    assert [each.eta_seconds for each in told if each.step == 3][-1] == 300
    a_step_takes(callback, 2)
    carry_out(run)
    at_4 = [each for each in told if each.step == 4][-1]
    assert (at_4.eta_seconds, at_4.samples_per_second) == (4, 4.0)
    assert at_4.tokens_per_second == pytest.approx((at_4.trained_tokens - before) / 2, abs=0.1)


def test_threads_of_readers_do_not_outlive_the_process():
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "reporting")
