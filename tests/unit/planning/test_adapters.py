"""How large adapters are."""

import pytest
from finetune_operator.planning import catalog
from finetune_operator.planning.adapters import adapter, default_targets

MINILM = catalog.find("all-MiniLM-L6-v2")
TINY = catalog.find("tiny-phi3")

# parameters counted in PEFT itself: rank 8
COUNTED = {
    "MiniLM, query and value": (MINILM, ("query", "value"), 73_728),
    "tiny Phi-3, every linear layer": (TINY, ("all-linear",), 92_160),
    "tiny Phi-3, its fused projections by name": (TINY, ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"), 92_160),
}


@pytest.mark.parametrize(("shape", "targets", "want"), COUNTED.values(), ids=COUNTED)
def test_parameters_are_those_that_peft_counts(shape, targets, want):
    assert adapter(shape, 8, targets).parameters == want


def test_an_unknown_target_counts_as_every_linear_layer():
    assert adapter(MINILM, 8, ("something",)) == adapter(MINILM, 8, ("all-linear",))


def test_encoders_and_decoders_have_their_own_default_targets():
    assert default_targets(MINILM) == ("query", "value")
    assert default_targets(TINY) == ("all-linear",)
