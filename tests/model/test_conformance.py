"""The model behaves as tests/integration/test_conformance.py proves of a real API server and its controllers."""

import pytest
from conformance_of_api import BEHAVIOURS
from conformance_of_controllers import BEHAVIOURS as OF_CONTROLLERS


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
def test_the_model_of_the_api_server(behaviour, world):
    behaviour(world)


@pytest.mark.parametrize("behaviour", OF_CONTROLLERS.values(), ids=OF_CONTROLLERS)
def test_the_model_of_the_controllers(behaviour, world):
    behaviour(world)


def test_there_are_behaviours_to_check():
    assert len(BEHAVIOURS) > 40
    assert len(OF_CONTROLLERS) > 15
