"""What a process knows of the others at the same training: to agree, to wait, and to hear why one of them ended.

Collective calls go over a group of their own on CPUs, beside those of the training. Why one ended is left on the store
at which all met: a thread of every process waits for it there, so that none hangs in a collective that will never end.

Not here: which process this is (`seat.py`), what runs on top (`engines.py`).
"""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from finetune_trainer.contract import FailureReason
from finetune_trainer.distributed.seat import HOST, PORT, Seat
from finetune_trainer.process.failures import TrainerFailure

MEETING_SECONDS = 600.0
"""How long the first process waits for the others: a node may have to pull an image of gigabytes, but no longer holds
its devices for nothing."""

COLLECTIVE_SECONDS = 1800.0
"""Longest that one waits for the others in a step: a checkpoint of a large model is hashed by the first alone."""

GOODBYE_SECONDS = 5.0
"""How long the first process, at which all meet, stays for the others to hear why it ends."""

LONGEST_RUN = dt.timedelta(days=365)

LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "ncclRemoteError", "ncclSystemError")
"""What gloo and NCCL say when another process is gone."""

ENDED, HEARD, ALL_HEARD = "finetune/ended", "finetune/heard", "finetune/all-heard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why a process ended before its time: `reason` is a FailureReason, or empty if it was asked to stop."""

    rank: int
    reason: str
    message: str


class World:
    """The processes of a training, seen from one of them; with one alone, everything is agreed at once."""

    def __init__(self, seat: Seat | None = None) -> None:
        self.seat = seat or Seat()
        self._group: Any = None
        self._teller: Any = None
        self._parted = threading.Lock()

    @property
    def rank(self) -> int:
        """Give the number of this process."""
        return self.seat.rank

    @property
    def size(self) -> int:
        """Give the number of processes."""
        return self.seat.size

    @property
    def is_first(self) -> bool:
        """Tell the process that writes what is written once."""
        return self.seat.rank == 0

    def join(self, on_end: Callable[[Ending], None]) -> None:
        """Meet the others; `on_end` is called in a thread when one of them has ended before its time.

        A process alone joins too where its engine wants a group to be in.

        Raises:
            TrainerFailure: TrainerError, if not all come in time.
        """
        import torch
        from torch import distributed

        os.environ.update(self.seat.words)
        has_gpu = torch.cuda.is_available()
        if has_gpu:
            torch.cuda.set_device(self.seat.local_rank)
        try:
            self._meet(distributed, "nccl" if has_gpu else "gloo")
        except (distributed.DistError, RuntimeError) as error:
            message = (
                f"process {self.rank} waited at {self.seat.host}:{self.seat.port} for {self.size} processes of this "
                f"job, and not all came within {MEETING_SECONDS:.0f} s: {str(error).splitlines()[0][:200]}"
            )
            raise TrainerFailure(FailureReason.TRAINER_ERROR, message) from error
        threading.Thread(target=self._listen, args=(on_end,), name="peers", daemon=True).start()
        print(f"process {self.rank} of {self.size} has met the others")

    def agree(self, *mine: bool) -> tuple[bool, ...]:
        """Say for each question whether any process says yes; all must ask the same at the same step."""
        if self._group is None:
            return mine
        import torch
        from torch import distributed

        flags = torch.tensor(mine, dtype=torch.int8)
        distributed.all_reduce(flags, op=distributed.ReduceOp.MAX, group=self._group)
        return tuple(bool(flag) for flag in flags)

    def wait(self) -> None:
        """Wait until all are here."""
        if self._group is not None:
            from torch import distributed

            distributed.barrier(group=self._group)

    def share(self, make: Callable[[], Any]) -> Any:
        """Let the first process make a value and give it to all."""
        if self._group is None:
            return make()
        from torch import distributed

        held = [make() if self.is_first else None]
        distributed.broadcast_object_list(held, src=0, group=self._group)
        return held[0]

    def heard(self) -> Ending | None:
        """Return why another process ended, if one has said so."""
        if self._teller is None:
            return None
        try:
            found = Ending(**json.loads(self._teller.get(ENDED))) if self._teller.check([ENDED]) else None
        except (RuntimeError, ValueError):  # the first process, at which they meet, is gone
            return None
        return found if found is not None and found.rank != self.rank else None

    def lost(self, error: BaseException) -> str | None:
        """Say in plain words that an error comes from another process that is gone, if it does."""
        texts, each = "", error
        while each is not None:
            texts, each = f"{texts} {each}", each.__cause__ or each.__context__
        if self.size == 1 or not any(words in texts for words in LOST):
            return None
        return (
            f"process {self.rank} of {self.size} lost contact with another one, which ended without a word: it was "
            "probably killed, as for its memory, or its node is gone; the state of its pod tells"
        )

    def part(self, reason: str, message: str) -> None:
        """Tell the others why this process ends, unless one has told before; the first stays until they have heard."""
        if self._teller is None or not self._parted.acquire(blocking=False):
            return
        said = json.dumps(asdict(Ending(rank=self.rank, reason=reason, message=message)))
        try:
            self._teller.compare_set(ENDED, "", said)
            if self._teller.add(HEARD, 1) == self.size:
                self._teller.set(ALL_HEARD, "yes")
            elif self.is_first:
                self._teller.wait([ALL_HEARD], dt.timedelta(seconds=GOODBYE_SECONDS))
        except RuntimeError:  # the first process is gone, or the others are
            return

    def _meet(self, distributed: Any, backend: str) -> None:
        within = dt.timedelta(seconds=MEETING_SECONDS)
        store, rank, size = next(distributed.rendezvous("env://", self.rank, self.size, timeout=within))
        distributed.init_process_group(
            backend, store=store, rank=rank, world_size=size, timeout=dt.timedelta(seconds=COLLECTIVE_SECONDS)
        )
        self._group = distributed.new_group(backend="gloo", timeout=dt.timedelta(seconds=COLLECTIVE_SECONDS))
        self._teller = self._connected(distributed)

    def _connected(self, distributed: Any) -> Any:
        """Connect once more to where they met: a call that waits would hold up all others on its connection."""
        host, port = os.environ[HOST], int(os.environ[PORT])
        return distributed.TCPStore(host, port, is_master=False, wait_for_workers=False)

    def _listen(self, on_end: Callable[[Ending], None]) -> None:
        from torch import distributed

        try:
            ear = self._connected(distributed)
            ear.wait([ENDED], LONGEST_RUN)
            ending = Ending(**json.loads(ear.get(ENDED)))
        except (distributed.DistError, RuntimeError):  # the meeting place is gone, as at the end of a good run
            return
        if ending.rank != self.rank:
            on_end(ending)
