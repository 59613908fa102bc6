"""Retries: a download is tried again while the other side does not answer, ever more slowly.

Not here: what is worth a retry (`Unreachable`, raised by the sources).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from finetune_trainer.sources.problems import Unreachable

TRIES = 6
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0
"""Doubling from the first wait to this one; six tries last about half a minute beside their own time."""

JITTER = 0.25
"""Share of a wait that is drawn, so that many pods do not come back at once."""

T = TypeVar("T")


def retried(action: Callable[[], T], progress: Callable[[], int]) -> T:
    """Do it until it is done; `progress` gives the bytes that lie there, and whoever gets on starts to count anew.

    Raises:
        Unreachable: the other side did not answer so many times in a row.
    """
    tries, before = 0, progress()
    while True:
        try:
            return action()
        except Unreachable as problem:
            tries, before = (1 if progress() > before else tries + 1), max(before, progress())
            if tries == TRIES:
                raise Unreachable(f"{problem} ({TRIES} tries)") from problem
            wait = min(LONGEST_WAIT_SECONDS, max(problem.wait_seconds, FIRST_WAIT_SECONDS * 2 ** (tries - 1)))
            print(f"warning: {problem}; trying again in {wait:.0f} s")
            time.sleep(wait * random.uniform(1 - JITTER, 1))  # noqa: S311 - no secret
