"""The parts of a technique that the schema of the definition cannot check, or not explain."""

import pytest
from finetune_operator.api.v1alpha1.technique import Method, Peft, PeftType
from finetune_trainer.contract import UNUSABLE_PEFT_TYPES
from pydantic import ValidationError

REFUSED = {
    "a list": {"target": ["a", "b"]},
    "an object": {"inner": {"a": 1}},
    "nothing": {"rank": None},
    "a name that is none": {"a-b": 1},
    "an empty name": {"": 1},
    "a text without end": {"a": "x" * 257},
    "options without end": {f"a{n}": n for n in range(33)},
}


def test_options_keep_their_types():
    options = {"num_virtual_tokens": 20, "dropout": 0.5, "encoder_hidden_size": 128, "bias": "none", "share": True}
    kept = Peft.model_validate({"type": "p-tuning", "options": options}).options
    assert kept == options
    assert [type(value) for value in kept.values()] == [int, float, int, str, bool]


@pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED)
def test_options_are_numbers_strings_and_booleans(options):
    with pytest.raises(ValidationError, match="options"):
        Peft.model_validate({"type": "p-tuning", "options": options})


@pytest.mark.parametrize("kind", UNUSABLE_PEFT_TYPES)
def test_an_adapter_that_cannot_be_used_is_refused_by_name_with_what_to_take_instead(kind):
    with pytest.raises(ValidationError, match=rf"{kind} cannot be used: .+; (take|set) ") as refused:
        Peft.model_validate({"type": kind})
    instead = refused.value.errors()[0]["msg"].rpartition("; ")[2]
    assert kind not in set(PeftType)
    assert [word for word in [*PeftType, *Method] if word in instead]


def test_an_adapter_that_nobody_has_is_refused_with_those_that_are():
    with pytest.raises(ValidationError, match="'ia3'"):
        Peft.model_validate({"type": "ia4"})
