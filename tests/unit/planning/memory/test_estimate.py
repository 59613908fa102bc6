"""Bytes by term."""

import pytest
from finetune_operator.planning.memory.estimate import GIB, MIB, MemoryEstimate, readable

WRITTEN = {
    "gibibytes with a tenth": (3.25 * GIB, "3.2 GiB"),
    "from one on": (GIB, "1.0 GiB"),
    "mebibytes below": (GIB - MIB, "1023 MiB"),
    "nothing": (0, "0 MiB"),
}


@pytest.mark.parametrize(("size", "want"), WRITTEN.values(), ids=WRITTEN)
def test_sizes_read_well(size, want):
    assert readable(size) == want


def test_the_peak_is_the_sum_of_the_terms():
    assert MemoryEstimate(terms=(("weights", 5), ("context", 2))).peak == 7
