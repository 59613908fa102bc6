"""`pytest tests/golden --update-golden` writes down what plans are now; read the difference before it is committed."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write want.json of every case in tests/golden")


@pytest.fixture
def updating(request):
    return request.config.getoption("--update-golden", default=False)
