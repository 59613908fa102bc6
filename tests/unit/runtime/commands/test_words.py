"""Numbers in words."""

import pytest
from finetune_operator.runtime.commands import words

TIMES = {0: "0 s", 89: "89 s", 119.4: "119 s", 120: "2 min", 3599: "60 min", 3600: "1 h", 4000: "1 h 7 min"}
LONG_TIMES = {36000: "10 h", 39000: "10 h", 86400: "1 d", 100_000: "1 d 4 h", 2_000_000: "23 d"}
MONEY = {0.004: "$0.00", 1.006: "$1.01", 99.994: "$99.99", 113.9: "$114", 12345.6: "$12,346"}
COUNTS = {7: "7", 73_728: "73.7 K", 1_250_000: "1.25 M", 999_900_000: "1000 M", 3_821_079_552: "3.82 B", 70e9: "70.0 B"}


@pytest.mark.parametrize(("seconds", "want"), [*TIMES.items(), *LONG_TIMES.items()])
def test_a_time_has_its_two_largest_units(seconds, want):
    assert words.time(seconds) == want


@pytest.mark.parametrize(("dollars", "want"), MONEY.items())
def test_money_has_cents_where_they_count(dollars, want):
    assert words.money(dollars) == want


@pytest.mark.parametrize(("number", "want"), COUNTS.items())
def test_a_count_has_three_digits(number, want):
    assert words.count(number) == want
