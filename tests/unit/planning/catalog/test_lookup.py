"""How things are found by name."""

from finetune_operator.planning.catalog import lookup
from finetune_operator.planning.catalog.models import models


def test_names_and_aliases_are_found_in_any_letter_case():
    assert lookup.by_name(models(), "PHI-3-MINI").name == "microsoft/Phi-3-mini-4k-instruct"
    assert lookup.by_name(models(), "qwen/qwen2.5-7b").name == "Qwen/Qwen2.5-7B-Instruct"


def test_a_name_that_nothing_has_finds_nothing():
    assert lookup.by_name(models(), "no-such-model") is None


def test_the_most_alike_name_comes_first():
    assert lookup.alike(models(), "llama-3.1-9b")[0] == "llama-3.1-8b"


def test_names_are_alike_in_any_letter_case():
    assert "phi-3-mini" in lookup.alike(models(), "PHI3-MINI")


def test_names_that_the_given_one_begins_come_before_those_spelt_alike():
    assert lookup.alike(models(), "microsoft/Phi-3-mini")[0] == "microsoft/Phi-3-mini-4k-instruct"


def test_three_names_are_enough():
    assert len(lookup.alike(models(), "qwen")) == 3


def test_nothing_is_alike_a_name_from_elsewhere():
    assert lookup.alike(models(), "zzzzqqq") == ()
