"""Texts of the columns."""

import pytest
from finetune_operator.api.v1alpha1.status import Columns
from finetune_operator.status.summary import columns, duration

CASES = {0: "0s", 59: "59s", 60: "1m0s", 3599: "59m59s", 3600: "1h0m", 90_000: "1d1h"}


@pytest.mark.parametrize(("seconds", "want"), CASES.items())
def test_durations_have_two_units(seconds, want):
    assert duration(seconds) == want


def test_what_is_not_known_is_left_empty():
    assert columns(None, None, "Created", None) == Columns(reason="Created")
