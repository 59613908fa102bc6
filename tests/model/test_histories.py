"""The real operator in a modelled cluster, in thousands of random histories."""

import os

from histories import check

HISTORIES = int(os.environ.get("HISTORIES", "2000"))


def test_every_history_ends_well():
    check(HISTORIES)
