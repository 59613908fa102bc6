"""Counts the watches that begin again, from what kopf logs of them: it has no other word for it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

LOGGER = "kopf._cogs.clients.watching"

SIGNS = {
    "gone": re.compile(r"Restarting the watch-stream for (\w+)"),
    "timeout": re.compile(r"Watch-stream for (\w+)\S* .*is inactive, reconnecting"),
    "error": re.compile(r"Request attempt #\d+/\d+ failed; .*?GET \S*/(\w+)(?:\?\S*)? -> "),
}
"""What kopf says, by the value of the label `reason`."""


class Restarts(logging.Filter):
    """Hands on resource and reason of each restart, and keeps lines below a warning out of the log."""

    def __init__(self, count: Callable[[str, str], None]) -> None:
        super().__init__()
        self._count = count

    def filter(self, record: logging.LogRecord) -> bool:
        """Look at one line of kopf's."""
        for reason, sign in SIGNS.items():
            if (found := sign.search(record.getMessage())) is not None:
                self._count(found[1], reason)
        return record.levelno >= logging.WARNING


def count_restarts(count: Callable[[str, str], None]) -> None:
    """Count from now on."""
    logger = logging.getLogger(LOGGER)
    logger.setLevel(logging.DEBUG)
    logger.addFilter(Restarts(count))
