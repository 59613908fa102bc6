"""The real operator in a modelled cluster, in thousands of random histories."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

from histories import History, OtherHistory, check

HISTORIES = int(os.environ.get("HISTORIES", "2000"))


def test_every_history_ends_well():
    kinds = (History, OtherHistory)
    with ProcessPoolExecutor(len(kinds), mp_context=multiprocessing.get_context("spawn")) as processes:
        running = [processes.submit(check, HISTORIES // len(kinds), kind=kind) for kind in kinds]
        for one in running:
            one.result()
