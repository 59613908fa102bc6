"""The clocks of this process: nothing else reads the time."""

import time


def now() -> float:
    """Return the seconds since the epoch."""
    return time.time()


def steady() -> float:
    """Return seconds that only go forward, a sleep of the machine included where the system counts it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
