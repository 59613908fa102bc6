import numpy as np
import pytest
from finetune_trainer.contract import FailureReason, TokenHistogram
from finetune_trainer.data.lengths import Tally, summed, tell
from finetune_trainer.process.failures import TrainerFailure


def test_lengths_are_summed_up_in_the_shape_of_the_spec():
    found = summed(np.arange(1, 101, dtype=np.uint32), 90, unlearnable=3)
    assert found.tokens == TokenHistogram(median=51, p95=96, max=100, rows=100)
    assert (found.p99, found.total, found.truncated, found.unlearnable) == (100, 5050, 10, 3)


def test_a_tally_counts_rows_as_they_come():
    tally = Tally(8)
    for length in (3, 9, 5):
        tally.add(length, learns=length != 9)
    found = tally.lengths()
    assert (found.tokens.rows, found.truncated, found.unlearnable) == (3, 1, 1)


def test_rows_without_anything_to_learn_are_refused():
    tally = Tally(8)
    tally.add(9, learns=False)
    with pytest.raises(
        TrainerFailure, match=r"no row has an answer within spec\.training\.sequenceLength 8: raise it"
    ) as caught:
        tally.lengths()
    assert caught.value.reason is FailureReason.DATA_INVALID


def test_the_histogram_is_said_so_that_it_can_be_pasted(capsys):
    tell(summed(np.array([1, 2, 3], dtype=np.uint32), 8, unlearnable=0), 8, packed=False)
    said = capsys.readouterr().out
    assert "spec.dataset.tokens: {median: 2, p95: 3, max: 3, rows: 3}" in said
    assert "warning" not in said


CUT = {
    "few": (100, "warning: 1 of 100 rows (1.00%) are longer than 8 tokens and are cut there\n"),
    "many": (10, "warning: 1 of 10 rows (10.00%) are longer than 8 tokens and are cut there; raise spec.training."),
}


@pytest.mark.parametrize("share", CUT)
def test_rows_that_are_cut_are_told_and_many_with_the_way_out(capsys, share):
    rows, warning = CUT[share]
    tell(summed(np.array([9] + [4] * (rows - 1), dtype=np.uint32), 8, unlearnable=1), 8, packed=False)
    said = capsys.readouterr().out
    assert warning in said
    assert "warning: 1 rows have nothing to learn within 8 tokens and are left out" in said


def test_packed_rows_are_not_cut(capsys):
    tell(summed(np.array([9], dtype=np.uint32), 8, unlearnable=0), 8, packed=True)
    assert "warning" not in capsys.readouterr().out
