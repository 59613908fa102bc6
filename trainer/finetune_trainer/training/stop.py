"""The request to stop: SIGTERM, which means "save a checkpoint and go" while training, and "go" otherwise.

Not here: saving (`loop.py`), the report that is left behind (`reporting/journal.py`).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

from finetune_trainer.contract import ExitCode


class StopRequest:
    """Remembers the first SIGTERM while training; a second one, or one at any other time, ends the process at once."""

    def __init__(self) -> None:
        self.requested = False
        self._can_save = False
        self._last_words: Callable[[], None] | None = None

    def listen(self) -> None:
        """Take over SIGTERM; as process 1 of a container, nothing would happen on it otherwise."""
        signal.signal(signal.SIGTERM, self._handle)

    def leave_with(self, last_words: Callable[[], None]) -> None:
        """Name what to do before ending at once."""
        self._last_words = last_words

    @contextlib.contextmanager
    def saving_first(self) -> Iterator[None]:
        """Mark the time in which the loop looks at `requested` after each step and saves."""
        self._can_save = True
        try:
            yield
        finally:
            self._can_save = False

    def _handle(self, _signal: int, _frame: object) -> None:
        if self._can_save and not self.requested:
            self.requested = True
            return
        if self._last_words is not None:
            self._last_words()
        os._exit(ExitCode.SUSPENDED)
