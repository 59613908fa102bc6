"""Which micro-batch is taken, and with which workload."""

import dataclasses

import pytest
from builders import a_job
from finetune_operator.api.v1alpha1.hardware import Hardware, Strategy
from finetune_operator.api.v1alpha1.technique import Method
from finetune_operator.api.v1alpha1.training import Precision
from finetune_operator.planning import catalog
from finetune_operator.planning.machines import machines
from finetune_operator.planning.memory.workload import ALONE, Loss, Quantizer, Sharding, Stack
from finetune_operator.planning.profiles import Profiles
from finetune_operator.planning.search.fitting import (
    REQUEST_STEP,
    Question,
    fit,
    micro_batches,
    needed_beside,
    request_bytes,
    smallest,
    step,
)


def question(method=Method.LORA, accelerator="nvidia-l4", model="phi-3-mini", **facts) -> Question:
    """A chat job on one device, its fields and facts replaced."""
    fields = facts.pop("fields", {})
    (machine,) = machines(Hardware(accelerator=accelerator), Profiles())
    usual = Question(
        spec=a_job(**({"task": "chat", "model": {"name": model}} | fields)),
        shape=catalog.find(model),
        machine=machine,
        method=method,
        length=512,
        sharding=ALONE,
        precision=Precision.BF16,
    )
    return dataclasses.replace(usual, **facts)


def test_what_fits_is_within_the_device():
    found = fit(question())
    assert found.estimate.peak <= found.question.machine.device_bytes
    assert found.workload.micro_batch_size * found.workload.accumulation == 32


def test_what_does_not_fit_is_nothing():
    assert fit(question(Method.FULL)) is None


def test_of_ways_that_take_as_long_the_one_with_least_memory_is_taken():
    roomy = fit(question(accelerator="amd-mi300x"))
    assert roomy.estimate.peak < roomy.question.machine.device_bytes / 3


def test_on_processors_the_largest_micro_batch_is_taken():
    found = fit(question(accelerator="cpu", model="tiny-phi3", precision=Precision.FP32, length=64))
    assert found.workload.micro_batch_size == 32


def test_a_wish_about_micro_batch_and_checkpointing_is_followed():
    wish = {"training": {"microBatchSize": 2, "gradientCheckpointing": True}}
    work = fit(question(fields=wish)).workload
    assert (work.micro_batch_size, work.accumulation, work.gradient_checkpointing) == (2, 16, True)


BATCHES = {
    "one device": ({"batchSize": 6}, 1, [6, 3, 2, 1]),
    "two devices": ({"batchSize": 8}, 2, [4, 2, 1]),
    "devices that do not divide the batch": ({"batchSize": 6}, 4, []),
    "a size asked for": ({"batchSize": 8, "microBatchSize": 2}, 2, [2]),
    "a size that does not go round": ({"batchSize": 8, "microBatchSize": 8}, 2, []),
}


@pytest.mark.parametrize(("training", "devices", "want"), BATCHES.values(), ids=BATCHES)
def test_micro_batches_divide_the_batch_evenly(training, devices, want):
    assert list(micro_batches(a_job(training=training), devices)) == want


def test_the_smallest_form_needs_least():
    asked = question()
    assert smallest(asked).peak <= fit(asked).estimate.peak


def test_a_pod_asks_for_a_round_size():
    assert request_bytes(1) == REQUEST_STEP
    assert request_bytes(REQUEST_STEP) == REQUEST_STEP
    assert needed_beside(question()) % REQUEST_STEP == 0


LOSSES = {
    "a conversation": ("chat", "phi-3-mini", Loss.FUSED),
    "a class of a text": ("text-classification", "phi-3-mini", Loss.NONE),
    "a class of a word": ("token-classification", "bert-base-uncased", Loss.NONE),
    "an answer found in a text": ("question-answering", "bert-base-uncased", Loss.NONE),
    "an answer written": ("question-answering", "phi-3-mini", Loss.FUSED),
    "a translation": ("translation", "t5-base", Loss.FULL),
    "a preference": ("preference", "phi-3-mini", Loss.FULL),
}


@pytest.mark.parametrize(("task", "model", "want"), LOSSES.values(), ids=LOSSES)
def test_the_loss_is_that_of_the_task(task, model, want):
    assert step(question(model=model, fields={"task": task})).loss is want


def test_a_preference_has_two_texts_a_row_and_a_reference_where_every_weight_learns():
    full, adapted = (step(question(method, fields={"task": "preference"})) for method in (Method.FULL, Method.LORA))
    assert (full.sequences_per_row, full.reference) == (2, True)
    assert (adapted.sequences_per_row, adapted.reference) == (2, False)


QUANTIZERS = {
    "none": (Method.LORA, {}, None),
    "double, unless told otherwise": (Method.QLORA, {}, Quantizer.NF4_DOUBLE),
    "single": (Method.QLORA, {"doubleQuant": False}, Quantizer.NF4),
    "eight bits": (Method.QDORA, {"type": "int8"}, Quantizer.INT8),
}


@pytest.mark.parametrize(("method", "quantization", "want"), QUANTIZERS.values(), ids=QUANTIZERS)
def test_frozen_weights_are_stored_as_asked(method, quantization, want):
    technique = {"method": method.value, "quantization": quantization} if quantization else {"method": method.value}
    assert step(question(method, fields={"technique": technique})).quantizer is want


def test_software_may_store_weights_in_a_format_that_a_job_cannot_ask_for():
    work = step(question(Method.QLORA, stack=Stack(quantizer=Quantizer.GPTQ)))
    assert work.quantizer is Quantizer.GPTQ


def test_deepspeed_casts_adapters_down_and_has_no_autocast():
    alone = step(question())
    shared = step(question(sharding=Sharding(strategy=Strategy.DEEPSPEED, stage=2, devices=2)))
    assert (alone.adapter_bytes, alone.stack.autocast) == (4, True)
    assert (shared.adapter_bytes, shared.stack.autocast) == (2, False)


def test_an_adapter_is_that_of_the_method():
    lora, dora, ia3 = (step(question(method)).adapter for method in (Method.LORA, Method.DORA, Method.PEFT))
    assert step(question(Method.FULL)).adapter is None
    assert ia3.parameters < lora.parameters < dora.parameters


def test_a_head_among_the_targets_is_adapted_too():
    asked = {"technique": {"method": "lora", "lora": {"rank": 4, "targetModules": ["qkv_proj", "lm_head"]}}}
    assert step(question(fields=asked)).adapter.head_values == catalog.find("phi-3-mini").hidden + 4


def test_embeddings_that_are_trained_beside_an_adapter_count():
    lora = {"technique": {"method": "lora", "lora": {"modulesToSave": ["lm_head"]}}}
    shape = catalog.find("phi-3-mini")
    assert step(question(fields=lora)).adapter.embeddings == shape.vocabulary * shape.hidden
