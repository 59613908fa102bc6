"""What the catalog knows of models."""

import pytest
from finetune_operator.planning import catalog

PUBLISHED = {
    "tiny-phi3": 2_410_176,
    "all-MiniLM-L6-v2": 22.71e6,
    "microsoft/Phi-3-mini-4k-instruct": 3.821e9,
    "microsoft/Phi-3-medium-4k-instruct": 13.96e9,
}


@pytest.mark.parametrize(("name", "parameters"), PUBLISHED.items())
def test_shapes_add_up_to_the_published_parameters(name, parameters):
    assert catalog.find(name).parameters == pytest.approx(parameters, rel=0.01)


def test_names_and_aliases_are_found_in_any_letter_case():
    assert catalog.find("PHI-3-MINI") is catalog.find("microsoft/Phi-3-mini-4k-instruct")
    assert catalog.find("no-such-model") is None


def test_every_figure_has_a_source():
    assert all(model.source for model in catalog.models())


def test_no_two_models_share_a_name():
    names = [name.casefold() for model in catalog.models() for name in (model.name, *model.aliases)]
    assert len(names) == len(set(names))
