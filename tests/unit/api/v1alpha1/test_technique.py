"""The free-form part of a technique, which the schema of the definition cannot check."""

import pytest
from finetune_operator.api.v1alpha1.technique import Peft
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
