"""The models of the catalog."""

import pytest
from finetune_operator.planning import catalog

MODELS = catalog.models()

FAMILIES = {
    "Phi-3": 7,  # mini, small and medium in two lengths each, and the small one pre-trained here
    "Phi-3.5": 1,
    "phi-4": 2,
    "phi-": 2 + 2,
    "Llama": 10,
    "Qwen-": 4,
    "Qwen2.5": 7,
    "Qwen3": 6,
    "Mistral": 4,
    "gemma": 9,
    "falcon": 2,
    "stablelm": 2,
    "SmolLM2": 3,
    "t5": 6,
    "bert": 4,
}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_shape_adds_up_to_the_published_parameters(model):
    assert model.parameters == pytest.approx(model.published_parameters, rel=0.001)


def test_most_shapes_add_up_to_the_last_weight():
    inexact = [model.name for model in MODELS if model.parameters != model.published_parameters]
    assert inexact == [f"google/gemma-3-{size}b-pt" for size in (4, 12, 27)] + ["stabilityai/stablelm-base-alpha-3b"]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_an_entry_says_where_its_numbers_are_from(model):
    assert len(model.source) > len("paper")


def test_no_two_models_share_a_name():
    names = [name.casefold() for model in MODELS for name in model.names]
    assert len(names) == len(set(names))


def test_aliases_that_are_no_names_of_a_hub_are_lower_case():
    short = {alias for model in MODELS for alias in model.aliases if "/" not in alias}
    assert {alias for alias in short if alias != alias.lower()} == {"all-MiniLM-L6-v2"}
    assert len(short) >= len(MODELS)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_there(family):
    assert sum(family.lower() in model.name.lower() for model in MODELS) >= FAMILIES[family]


def test_checkpoints_of_one_shape_are_one_entry():
    assert catalog.find("meta-llama/Llama-3.1-8B-Instruct") is catalog.find("llama-3.1-8b")


def test_a_misspelt_name_is_answered_with_names_like_it():
    assert "mistral-7b" in catalog.nearest("mistral-7")
