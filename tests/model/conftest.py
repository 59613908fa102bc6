"""A modelled cluster for each test."""

import pytest
from cluster.world import World


@pytest.fixture
def world():
    return World()
