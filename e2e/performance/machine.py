"""What else uses the processors while something is measured: figures of a shared machine mean little without it."""

from __future__ import annotations

import os
import pathlib
import time
from dataclasses import dataclass

from control_plane import poll_until

QUIET_CORES = 0.25
"""Cores that others may use at the moment that a burst begins."""

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 60
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Reading:
    """Processor seconds used so far, by the whole machine and by what is measured."""

    moment: float
    machine: float
    own: float

    def others_since(self, earlier: Reading) -> float:
        """Return the cores that others used since an earlier reading."""
        used = (self.machine - earlier.machine) - (self.own - earlier.own)
        return max(0.0, used) / (self.moment - earlier.moment)


def read() -> Reading:
    """Read both counters; own is this process with all its descendants."""
    fields = [int(word) for word in pathlib.Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _wait, irq, soft = fields[:7]
    machine = (user + nice + system + irq + soft) / TICKS
    return Reading(time.monotonic(), machine, _own(os.getpid()))


def quiet() -> bool:
    """Wait until others leave the machine alone; return whether they did within `PATIENCE_SECONDS`."""
    last = read()

    def alone() -> bool:
        nonlocal last
        if time.monotonic() - last.moment < LOOK_SECONDS:
            return False
        earlier, last = last, read()
        return last.others_since(earlier) < QUIET_CORES

    try:
        poll_until(alone, within=PATIENCE_SECONDS, waiting_for="a quiet machine")
    except TimeoutError:
        return False
    return True


def _own(root: int) -> float:
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            process = int(folder.name)
            parents[process] = int(fields[1])
            used[process] = (int(fields[11]) + int(fields[12])) / TICKS

    def ours(process: int) -> bool:
        while process in parents and process != root:
            process = parents[process]
        return process == root

    return sum(seconds for process, seconds in used.items() if ours(process))
