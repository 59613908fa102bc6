"""The process's own memory: giving back what was freed.

Not here: what a run will need (`finetune_operator.planning.memory`).
"""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Hand the system the pages of freed blocks, which glibc keeps for itself; elsewhere nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
