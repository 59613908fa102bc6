"""What an attempt gives way to when memory ran out."""

import pytest
from builders import a_job, an_attempt
from finetune_operator.planning.plan import Descent, Plan, descend, plan
from finetune_operator.planning.profiles import CpuProfile, Profiles
from finetune_operator.reconcile.attempts.oom import descent_of, left_out, next_step

CPU = Profiles()
GPU = a_job(model={"name": "microsoft/Phi-3-mini-4k-instruct"}, task="chat", hardware={"accelerator": "nvidia-l4"})


def shared(**fields):
    hardware = {"accelerator": "nvidia-a100-80gb", "devicesPerNode": 2}
    return a_job(model={"name": "microsoft/Phi-3-mini-4k-instruct"}, task="chat", hardware=hardware, **fields)


SHARED = shared()


def walk(spec, profiles, reason, *, has_checkpoint=False):
    """Take every step down that there is; return what changed at each."""
    descent, changes = Descent(), []
    while True:
        attempt = an_attempt(reason=reason, rung=descent.rung, memory_raises=descent.memory_raises)
        step = next_step(spec, profiles, attempt, has_checkpoint=has_checkpoint)
        if step is None:
            return descent, changes
        descent, changes = step.descent, [*changes, step.change]


def test_on_a_cpu_the_whole_ladder_comes_first_and_then_more_memory():
    spec = a_job()
    rungs = plan(spec, CPU).ladder
    descent, changes = walk(spec, CPU, "HostOutOfMemory")
    assert tuple(changes[: len(rungs)]) == rungs
    assert all(change.startswith("memory limit") for change in changes[len(rungs) :])
    assert descent.rung == len(rungs)
    assert descend(spec, CPU, descent).memory_bytes == CPU.cpu.memory_bytes


def test_where_the_machine_has_no_more_memory_the_ladder_is_all_there_is():
    tight = Profiles(cpu=CpuProfile(memory_bytes=plan(a_job(), CPU).memory_bytes))
    _descent, changes = walk(a_job(), tight, "HostOutOfMemory")
    assert tuple(changes) == plan(a_job(), tight).ladder


def test_on_an_accelerator_the_pods_own_memory_is_raised_before_the_plan_shrinks():
    step = next_step(GPU, CPU, an_attempt(reason="HostOutOfMemory"), has_checkpoint=True)
    assert step.descent == Descent(0, 1)
    assert step.change.startswith("memory limit")


def test_memory_of_a_device_is_met_by_the_ladder_alone():
    rungs = plan(GPU, CPU).ladder
    descent, changes = walk(GPU, CPU, "GPUOutOfMemory")
    assert (descent, len(changes)) == (Descent(len(rungs), 0), len(rungs))
    assert all(change.startswith(rung) for change, rung in zip(changes, rungs, strict=True))


@pytest.mark.parametrize("spec", [a_job(), GPU], ids=["cpu", "gpu"])
def test_no_step_changes_the_effective_batch_or_lowers_the_memory_limit(spec):
    first = before = plan(spec, CPU)
    descent, _changes = walk(spec, CPU, "HostOutOfMemory")
    for rung in range(descent.rung + 1):
        now = descend(spec, CPU, Descent(rung))
        assert isinstance(now, Plan)
        batch = now.micro_batch_size * now.gradient_accumulation_steps * now.devices
        assert batch == first.micro_batch_size * first.gradient_accumulation_steps * first.devices
        assert now.memory_bytes >= first.memory_bytes
        assert now.memory.peak <= before.memory.peak
        before = now


def test_a_job_that_can_no_longer_be_planned_has_no_step():
    unknown, ended = a_job(model={"name": "unheard-of"}), an_attempt(reason="GPUOutOfMemory")
    assert next_step(unknown, CPU, ended, has_checkpoint=False) is None
    assert left_out(unknown, CPU, ended) == ""


def test_how_far_a_plan_gave_way_is_read_from_its_attempt():
    assert descent_of(None) == Descent()
    assert descent_of(an_attempt(rung=2, memory_raises=1)) == Descent(2, 1)


def test_without_a_checkpoint_devices_share_more():
    _descent, changes = walk(SHARED, CPU, "GPUOutOfMemory")
    assert any("ZeRO" in change for change in changes)


def test_with_a_checkpoint_no_step_changes_how_it_is_divided():
    first = plan(SHARED, CPU)
    descent, changes = walk(SHARED, CPU, "GPUOutOfMemory", has_checkpoint=True)
    last = descend(SHARED, CPU, descent)
    assert (last.sharding.strategy, last.sharding.stage) == (first.sharding.strategy, first.sharding.stage)
    assert not any("ZeRO" in change for change in changes)
    assert changes[-1].startswith("method qlora"), "which reads it"
    assert last.ladder == ()


def test_it_tells_what_would_need_less_but_cannot_read_the_checkpoint():
    asked = shared(technique={"method": "lora"})
    descent, _changes = walk(asked, CPU, "GPUOutOfMemory", has_checkpoint=True)
    ended = an_attempt(reason="GPUOutOfMemory", rung=descent.rung)
    assert left_out(asked, CPU, ended).startswith("ZeRO stage")
    descent, _changes = walk(asked, CPU, "GPUOutOfMemory")
    assert left_out(asked, CPU, an_attempt(reason="GPUOutOfMemory", rung=descent.rung)) == ""
