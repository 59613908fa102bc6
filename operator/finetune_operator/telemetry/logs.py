"""Structured logs: one JSON object a line, a constant message and keys."""

from __future__ import annotations

import json
import logging
import re
import sys
import typing

FIELDS = "fields"
"""Name under which a record carries its keys: `log.info("job ended", extra=keys(job=...))`."""


HIDDEN = "[hidden]"
_SECRETS = re.compile(
    r"""
    (?<=://)[^/\s:@"]+:[^/\s@"]+(?=@)          # the user and password of an address
    | \bhf_[A-Za-z0-9]{8,}                     # a token of the model hub
    | \b(?:AKIA|ASIA)[A-Z0-9]{12,}             # a key of AWS
    | (?<=Bearer\ )[A-Za-z0-9._~+/-]{8,}=*     # the token of a request
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9._-]+  # a signed token, such as a service account's
    """,
    re.VERBOSE,
)
"""What looks like a secret. None is read by the operator; this is for what others put into their error messages."""


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
        return redacted(json.dumps(line, default=str))


class PlainFormatter(logging.Formatter):
    """Writes a record as a line for people, with the same keys behind it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = " ".join(f"{name}={value}" for name, value in getattr(record, FIELDS, {}).items())
        return redacted(f"{super().format(record)} {fields}".rstrip())


def redacted(text: str) -> str:
    """Return a text without what looks like a secret."""
    return _SECRETS.sub(HIDDEN, text)


def setup(level: str, *, as_json: bool) -> None:
    """Send all logs to standard output, ours from `level` on and the libraries' from warning on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if as_json else PlainFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("finetune_operator").setLevel(level.upper())
