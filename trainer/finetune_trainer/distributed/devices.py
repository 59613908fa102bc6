"""What each process of a pod holds of its device, gathered for the one that answers Prometheus.

The processes share a file of one number each: asking the driver about another process's device would take memory of it.

Not here: measuring (`reporting/callback.py`), serving (`reporting/server.py`).
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import tempfile
from pathlib import Path

from finetune_trainer.contract import JobIdentity
from finetune_trainer.distributed.seat import Seat

NUMBER = struct.Struct("<q")


class Devices:
    """Bytes held of each device of this pod, by local rank."""

    def __init__(self, job: JobIdentity, seat: Seat) -> None:
        self._seat = seat
        self._held = _shared(job, seat)

    def note(self, held: int) -> None:
        """Tell what this process holds of its device."""
        NUMBER.pack_into(self._held, self._seat.local_rank * NUMBER.size, held)

    def held(self) -> dict[int, int]:
        """Return the bytes held of each device that a process has told of."""
        said = ((rank, NUMBER.unpack_from(self._held, rank * NUMBER.size)[0]) for rank in range(self._seat.local_size))
        return {rank: held for rank, held in said if held}


def _shared(job: JobIdentity, seat: Seat) -> mmap.mmap:
    """Return memory that all processes of this pod see; memory of its own where no file can be written."""
    size = seat.local_size * NUMBER.size
    pod = f"{job.namespace}/{job.name}/{job.uid}/{job.attempt}/{seat.rank // seat.local_size}"
    try:
        name = f"finetune-devices-{hashlib.sha256(pod.encode()).hexdigest()[:16]}"
        file = os.open(Path(tempfile.gettempdir()) / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        return mmap.mmap(-1, size)
    try:
        os.ftruncate(file, size)
        return mmap.mmap(file, size)
    finally:
        os.close(file)
