"""Published runs, planned again: how far predictions are from what was measured, and who ran out of memory."""

import pathlib

import pytest
from published import points, score

TABLE = pathlib.Path(__file__).parents[1] / "data/published_memory.csv"

MEDIAN_ERROR = 0.06
WITHIN_15 = 0.85
FAR = 0.30
"""No single prediction is further off than this, upwards or downwards."""


@pytest.fixture(scope="module")
def found():
    return list(points(TABLE))


def test_most_published_runs_are_planned_again(found):
    assert len(found) >= 90
    assert len({one.row["source"] for one in found}) >= 5


def test_the_median_error_is_small(found):
    assert score(found)["median"] <= MEDIAN_ERROR


def test_most_predictions_are_close(found):
    assert score(found)["within 15%"] >= WITHIN_15


def test_no_prediction_is_far_off(found):
    far = {one.name: one.error for one in found if one.error is not None and abs(one.error) > FAR}
    assert far == {}


def test_predictions_err_to_both_sides(found):
    errors = [one.error for one in found if one.error is not None]
    assert 0.3 <= sum(error > 0 for error in errors) / len(errors) <= 0.7


def test_every_run_that_ran_out_of_memory_is_predicted_to(found):
    over = [one for one in found if one.row["result"] == "oom"]
    assert len(over) >= 6
    assert [one.name for one in over if one.fits] == []


@pytest.mark.parametrize("result", ["ok", "fits"])
def test_no_run_that_went_well_is_refused(found, result):
    ran = [one for one in found if one.row["result"] == result]
    assert ran
    assert [one.name for one in ran if not one.fits] == []
