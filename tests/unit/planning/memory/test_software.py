"""Software by its name: each has its traits, which change what a step holds."""

import pytest
from any_workloads import a_workload_of
from finetune_operator.api.v1alpha1.technique import Method
from finetune_operator.planning import catalog
from finetune_operator.planning.memory import device
from finetune_operator.planning.memory.software import STACKS, Software
from finetune_operator.planning.memory.workload import TRAINER, Loss, Measured, Stack

LLAMA = catalog.find("llama-3.2-3b")


def test_every_software_has_its_traits():
    assert set(STACKS) == set(Software)
    assert STACKS[Software.TRL] is TRAINER


@pytest.mark.parametrize("name", sorted(set(Software) - {Software.TRL, Software.UNSLOTH}))
def test_other_software_keeps_logits(name):
    assert STACKS[name].loss in {Loss.FULL, Loss.SHIFTED}


def terms(method=Method.FULL, loss=Loss.FULL, micro_batch_size=1, **traits):
    work = a_workload_of(
        LLAMA, method, stack=Stack(**traits), loss=loss, micro_batch_size=micro_batch_size, gradient_checkpointing=True
    )
    return dict(device.estimate(LLAMA, work).terms)


def test_a_figure_counts_what_it_says():
    whole, reserved, active = (terms(measured=measured) for measured in Measured)
    assert set(whole) - set(reserved) == {"context"}
    assert set(reserved) - set(active) == {"fragmentation"}


def test_a_step_within_the_backward_pass_lets_gradients_go():
    usual, within = terms(), terms(optimizer_in_backward=True)
    largest = 2 * LLAMA.vocabulary * LLAMA.hidden
    assert usual["gradients"] == 2 * LLAMA.parameters
    assert within.get("gradients", 0) <= largest
    assert "step" not in within


def test_offloaded_checkpoints_need_less():
    kept, away = (
        sum(terms(Method.LORA, Loss.FUSED, 8, offload_activations=offloads).values()) for offloads in (False, True)
    )
    assert kept - away > LLAMA.layers * 2 * LLAMA.hidden


def test_logits_in_chunks_need_less_than_whole_ones_and_more_than_fused():
    needs = [sum(terms(Method.LORA, loss, 8).values()) for loss in (Loss.FUSED, Loss.CHUNKED, Loss.FULL)]
    assert needs == sorted(needs)
