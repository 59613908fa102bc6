"""Giving freed memory back to the system."""

import os
import subprocess
import sys
from pathlib import Path

TRAINER = Path(__file__).parents[3] / "trainer"

FREED_BUT_HELD = """
from finetune_trainer.process import memory

def resident():
    lines = open("/proc/self/status", encoding="ascii").read().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) // 1024

blocks = [bytearray(b"x") * 100_000 for _ in range(2000)]
del blocks[:-1]  # the last one is at the top of the heap, so that glibc itself gives nothing back
held = resident()
memory.give_back()
print(held - resident())
"""
FREED = 190
"""MiB of the blocks."""


def test_what_was_freed_below_a_block_in_use_goes_back_to_the_system():
    command, environment = [sys.executable, "-c", FREED_BUT_HELD], {**os.environ, "PYTHONPATH": str(TRAINER)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) > FREED / 2
