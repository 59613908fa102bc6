"""Values for what the user left open."""

import pytest
from finetune_operator.api.v1alpha1.dataset import TokenHistogram
from finetune_operator.api.v1alpha1.hardware import Hardware
from finetune_operator.api.v1alpha1.spec import Task
from finetune_operator.api.v1alpha1.technique import Lora, Method, Peft
from finetune_operator.planning import catalog
from finetune_operator.planning.hyperparameters import (
    alpha,
    learning_rate,
    precision_reason,
    precisions,
    rank,
    sequence_length,
)
from finetune_operator.planning.machines import machines
from finetune_operator.planning.profiles import Profiles

MINILM, PHI = catalog.find("all-MiniLM-L6-v2"), catalog.find("phi-3-mini")


def machine(accelerator):
    (found,) = machines(Hardware(accelerator=accelerator), Profiles())
    return found


def test_adapters_learn_at_a_higher_rate_than_whole_models_and_vectors_at_a_higher_one_still():
    full, adapter = learning_rate(Method.FULL, None)[0], learning_rate(Method.LORA, None)[0]
    vectors = learning_rate(Method.PEFT, Peft(type="ia3"))[0]
    assert full < adapter < vectors
    assert learning_rate(Method.PEFT, Peft(type="loha")) == (vectors, "loha moves less a step than lora")
    assert learning_rate(Method.PEFT, Peft(type="c3a"))[0] > vectors
    assert learning_rate(Method.PEFT, Peft(type="oft"))[0] == adapter


LENGTHS = {
    "a classification": (Task.TEXT_CLASSIFICATION, PHI, None, 128),
    "a conversation": (Task.CHAT, PHI, None, 512),
    "longer than the model": (Task.CHAT, catalog.find("tiny-phi3"), TokenHistogram(median=1, p95=900, max=900), 512),
    "as long as 95 in 100 rows": (Task.CHAT, PHI, TokenHistogram(median=300, p95=900, max=4000), 960),
    "short rows": (Task.TEXT_CLASSIFICATION, MINILM, TokenHistogram(median=10, p95=20, max=400), 64),
}


@pytest.mark.parametrize(("task", "shape", "tokens", "want"), LENGTHS.values(), ids=LENGTHS)
def test_rows_are_cut_at_a_length_that_fits_data_and_model(task, shape, tokens, want):
    length, why = sequence_length(task, shape, tokens)
    assert length == want
    assert why


PRECISIONS = {
    "processors": ("cpu", Method.LORA, ["fp32"]),
    "a card without bf16": ("nvidia-t4", Method.FULL, ["fp16"]),
    "an adapter": ("nvidia-l4", Method.LORA, ["bf16"]),
    "every weight: fp32 weights first": ("nvidia-l4", Method.FULL, ["bf16-mixed", "bf16"]),
}


@pytest.mark.parametrize(("accelerator", "method", "want"), PRECISIONS.values(), ids=PRECISIONS)
def test_the_best_number_format_that_the_hardware_does_well_comes_first(accelerator, method, want):
    found = precisions(machine(accelerator), method)
    assert list(found) == want
    reasons = {precision_reason(precision, machine(accelerator), method) for precision in found}
    assert len(reasons) == len(found)


def test_bf16_is_explained_by_what_it_is_used_for():
    said = [
        precision_reason("bf16", machine("cpu"), Method.FULL),
        precision_reason("bf16", machine("nvidia-l4"), Method.FULL),
        precision_reason("bf16", machine("nvidia-l4"), Method.LORA),
    ]
    assert len(set(said)) == 3


def test_an_adapter_has_rank_8_and_twice_that_as_scale_unless_told_otherwise():
    assert (rank(None), alpha(None)) == (8, 16)
    assert (rank(Lora(rank=4)), alpha(Lora(rank=4))) == (4, 8)
    assert alpha(Lora(rank=4, alpha=5)) == 5
