"""Structured logs: one JSON object a line, a constant message and keys."""

from __future__ import annotations

import json
import logging
import sys
import typing

FIELDS = "fields"
"""Name under which a record carries its keys: `log.info("job ended", extra=keys(job=...))`."""


def keys(**fields: object) -> dict[str, typing.Any]:
    """Return the `extra` that carries keys to the formatter."""
    return {FIELDS: fields}


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def setup(level: str, *, as_json: bool) -> None:
    """Send all logs to standard output, ours from `level` on and the libraries' from warning on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("finetune_operator").setLevel(level.upper())
