"""The accelerators of the catalog."""

import pytest
from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import Accelerator, Confidence, Vendor

ALL = catalog.accelerators()
GPUS = [one for one in ALL if one.vendor in {Vendor.NVIDIA, Vendor.AMD}]


def each(accelerators):
    return pytest.mark.parametrize("accelerator", accelerators, ids=lambda one: one.key)


def test_the_usual_devices_are_there():
    keys = {one.key for one in ALL}
    assert {"cpu", "fpga", "nvidia-t4", "nvidia-a10g", "nvidia-l4", "nvidia-h100", "amd-mi300x"} <= keys
    assert len(GPUS) >= 22


def test_no_two_accelerators_share_a_name():
    names = [name.casefold() for one in ALL for name in one.names]
    assert len(names) == len(set(names))


@each(GPUS)
def test_a_process_can_use_a_little_less_than_what_the_vendor_calls_it(accelerator):
    usable = accelerator.memory_bytes / (accelerator.nominal_gb * 2**30)
    assert 0.9 <= usable < 1


@each(GPUS)
def test_narrow_numbers_are_faster_than_wide_ones(accelerator):
    assert accelerator.tflops.fp16 > accelerator.tflops.fp32 > 0
    assert accelerator.tflops.bf16 in {None, accelerator.tflops.fp16}
    assert accelerator.tflops.tf32 is None or accelerator.tflops.fp16 >= accelerator.tflops.tf32


@each(GPUS)
def test_memory_is_faster_than_the_way_to_another_device(accelerator):
    assert accelerator.bandwidth_bytes_per_second > accelerator.interconnect_bytes_per_second > 10e9


@each(GPUS)
def test_pods_ask_for_a_device_by_its_vendors_resource(accelerator):
    assert accelerator.resource == f"{accelerator.vendor}.com/gpu"


@each(ALL)
def test_an_entry_says_where_its_figures_are_from(accelerator):
    assert len(accelerator.source) > len("data sheet")


def test_devices_without_bfloat16_are_those_before_ampere():
    assert {one.key for one in GPUS if not one.bf16} == {"nvidia-t4", "nvidia-v100-16gb", "nvidia-v100-32gb"}


def test_devices_without_bfloat16_have_no_flash_attention_either():
    assert all(one.flash_attention is one.bf16 for one in GPUS)


def test_half_is_the_16_bit_format_that_a_device_has():
    assert catalog.find_accelerator("a100").tflops_of("half") == 312
    assert catalog.find_accelerator("t4").tflops_of("half") == 65
    assert catalog.find_accelerator("a100").tflops_of("fp32") == 19.5


def test_a_device_without_16_bit_formats_computes_in_fp32():
    device = Accelerator.model_validate(
        {"key": "x", "vendor": "cpu", "name": "x", "source": "x", "utilization": 1, "confidence": "low"}
        | {"tflops": {"fp32": 2}}
    )
    assert device.tflops_of("half") == 2


@each(GPUS)
def test_utilization_is_a_part_of_the_peak(accelerator):
    assert 0.1 <= accelerator.utilization <= 0.6


def test_utilization_is_trusted_only_where_runs_were_published():
    trusted = {one.key.removeprefix("nvidia-") for one in ALL if one.confidence is Confidence.HIGH}
    assert trusted == {"a100-40gb", "a100-80gb", "h100", "rtx-3090", "rtx-4090", "rtx-a5000"}


def test_fpgas_infer_and_do_not_train():
    assert {one.vendor for one in ALL if one.inference_only} == {Vendor.FPGA}


def test_the_processors_have_no_memory_of_their_own_and_no_resource():
    cpu = catalog.find_accelerator("cpu")
    assert (cpu.memory_bytes, cpu.resource, cpu.flash_attention) == (0, None, False)


@pytest.mark.parametrize(("alias", "key"), {"A100-80G": "nvidia-a100-80gb", "T4": "nvidia-t4"}.items())
def test_people_find_a_device_by_what_they_call_it(alias, key):
    assert catalog.find_accelerator(alias).key == key


def test_a_misspelt_device_is_answered_with_devices_like_it():
    assert "nvidia-h100" in catalog.nearest_accelerators("nvidia-h10")
    assert catalog.find_accelerator("nvidia-h10") is None
