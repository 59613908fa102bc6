"""In which order ways are tried, and which of them is taken."""

import dataclasses
import itertools

import pytest
from builders import a_job
from finetune_operator.api.v1alpha1.hardware import Hardware
from finetune_operator.planning import catalog
from finetune_operator.planning.machines import everything, machines
from finetune_operator.planning.memory.workload import TRAINER
from finetune_operator.planning.profiles import CpuProfile, Profiles
from finetune_operator.planning.search.first import Job, first, large_enough, questions
from finetune_operator.planning.search.fitting import fit, smallest

QUALITY = {"technique": {"goals": ["quality"]}}


def a_search(accelerator="nvidia-a100-80gb", model="phi-3-medium", profiles=None, **fields):
    """A chat job with what there is to plan it with, and the machine."""
    hardware = {"accelerator": accelerator} | fields.pop("hardware", {})
    spec = a_job(**({"task": "chat", "model": {"name": model}, "hardware": hardware} | fields))
    profiles = profiles or Profiles()
    (machine,) = machines(Hardware.model_validate(hardware), profiles)
    return Job(spec=spec, shape=catalog.find(model), profiles=profiles, stack=TRAINER), machine


def tried(**fields):
    job, machine = a_search(**fields)
    return [(one.sharding.devices, one.method.value, one.precision.value) for one in questions(job, machine)]


def test_fewer_devices_come_before_a_better_method():
    every = tried(technique={"goals": ["reduce-cost"]})
    assert every[:3] == [(1, "lora", "bf16"), (1, "qlora", "bf16"), (2, "lora", "bf16")]


def test_a_better_method_comes_before_fewer_devices_where_quality_is_the_goal():
    methods = [method for _devices, method, _precision in tried(**QUALITY)]
    grouped = [method for method, _group in itertools.groupby(methods)]
    assert grouped == ["full", "dora", "lora", "qdora", "qlora"]


def test_the_better_number_format_comes_before_more_devices():
    every = tried(technique={"method": "full"})
    assert every[:2] == [(1, "full", "bf16-mixed"), (1, "full", "bf16")]


def test_deepspeed_on_processors_that_know_bf16_still_computes_in_fp32():
    profiles = Profiles(cpu=CpuProfile(bf16=True))
    small = {"accelerator": "cpu", "model": "all-MiniLM-L6-v2", "task": "text-classification", "profiles": profiles}
    for strategy, want in (("ddp", "bf16"), ("deepspeed", "fp32")):
        every = tried(**small, hardware={"nodes": 2}, distribution={"strategy": strategy})
        assert {precision for *_way, precision in every} == {want}


def test_a_number_format_that_was_asked_for_is_the_only_one():
    assert {precision for *_way, precision in tried(training={"precision": "fp32"})} == {"fp32"}


@pytest.mark.parametrize(("bf16", "want"), [(False, "fp32"), (True, "bf16")])
def test_processors_compute_in_what_the_administrator_says(bf16, want):
    profiles = Profiles(cpu=CpuProfile(bf16=bf16))
    assert tried(accelerator="cpu", profiles=profiles)[0] == (1, "lora", want)


def test_devices_that_could_not_share_the_batch_are_not_tried():
    assert {devices for devices, *_way in tried(training={"batchSize": 6})} == {1, 2}
    assert {devices for devices, *_way in tried(training={"batchSize": 6, "microBatchSize": 6})} == {1}


def test_the_first_way_that_fits_is_taken():
    place, found = first(*a_search(technique={"method": "lora"}))
    assert (place, found.question.sharding.devices) == (0, 1)


def test_the_place_of_a_method_counts_where_quality_is_the_goal():
    place, found = first(*a_search("nvidia-l4", "llama-3.1-70b", **QUALITY))
    assert (place, found.question.method) == (1, "dora")


def test_nothing_is_found_where_nothing_fits():
    assert first(*a_search("nvidia-t4", "llama-3.1-70b", hardware={"devicesPerNode": 1}, **ALONE)) is None


ALONE = {"distribution": {"strategy": "none"}}


def test_a_search_that_may_not_offload_does_not():
    job, machine = a_search()
    assert any(one.sharding.offload_optimizer for one in questions(job, machine))
    stays = dataclasses.replace(job, offloads=False)
    assert not any(one.sharding.offload_optimizer for one in questions(stays, machine))


def test_a_batch_that_fits_at_once_is_found_where_a_row_at_a_time_would_not_fit():
    """Rows that are added up need their gradients all the time: here more than the second row needs."""
    few = {"batchSize": 2, "sequenceLength": 512, "optimizer": "adamw_torch_fused", "precision": "bf16"}
    job, machine = a_search(model="phi-3-mini", technique={"method": "full"}, training=few, **ALONE)
    question = next(questions(job, machine))
    at_once = fit(question)
    tight = dataclasses.replace(machine, device_bytes=at_once.estimate.peak)
    one_by_one = dataclasses.replace(
        question,
        spec=job.spec.model_copy(update={"training": job.spec.training.model_copy(update={"micro_batch_size": 1})}),
    )
    assert smallest(one_by_one).peak > tight.device_bytes
    assert first(job, tight)[1].workload.micro_batch_size == 2


def test_machines_that_could_not_hold_the_job_are_left_out():
    job, _machine = a_search(model="llama-3.1-8b", technique={"method": "lora"}, **ALONE)
    held = {machine.name for machine in large_enough(job, everything(Hardware(), Profiles()))}
    assert "nvidia-a100-40gb" in held
    assert not held & {"nvidia-t4", "nvidia-v100-16gb"}
    assert {
        machine.name for machine in large_enough(job, everything(Hardware(), Profiles())) if first(job, machine)
    } <= held
