"""The last word of an attempt, written where the kubelet and people look for it.

Not here: what it says (`journal.py`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from finetune_trainer.contract import TERMINATION_MESSAGE_LIMIT, ExitReport, to_json

REPORT_FILE = "report.json"
DEFAULT_TERMINATION_LOG = Path("/dev/termination-log")
"""Kubernetes' default, for the case that the run file, which names it, cannot be read."""

SHORTEST_MESSAGE = 200
METRICS_KEPT = 8


def write(report: ExitReport, *, termination_log: Path, folders: Iterable[Path] = (), document: str = "") -> None:
    """Write the report to the termination message, and the whole document, if there is one, into folders.

    A place that cannot be written is skipped: the exit code still tells the outcome, and the other place may do.
    """
    with contextlib.suppress(OSError):
        termination_log.write_text(shrink(report), encoding="utf-8")
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f".{REPORT_FILE}.partial"
            partial.write_text(document or to_json(report) + "\n", encoding="utf-8")
            os.replace(partial, folder / REPORT_FILE)  # noqa: PTH105 - says "over whatever is there"


def shrink(report: ExitReport, limit: int = TERMINATION_MESSAGE_LIMIT) -> str:
    """Bring a report down to what the kubelet keeps: first the message, then metrics, then artifacts give way."""
    text = to_json(report)
    while len(text.encode()) > limit and len(report.message) > SHORTEST_MESSAGE:
        excess = len(text.encode()) - limit
        keep = max(SHORTEST_MESSAGE, len(report.message) - max(excess // 2, 1) - 3)
        report = replace(report, message=report.message[:keep].rstrip(" …") + " …")
        if keep == SHORTEST_MESSAGE:
            report = replace(report, message=report.message[:SHORTEST_MESSAGE])
        text = to_json(report)
    if len(text.encode()) > limit:
        before, after = (
            dict(list(each.items())[:METRICS_KEPT]) for each in (report.metrics_before, report.metrics_after)
        )
        report = replace(report, metrics_before=before, metrics_after=after)
        text = to_json(report)
    while len(text.encode()) > limit and report.artifacts:
        report = replace(report, artifacts=report.artifacts[:-1])
        text = to_json(report)
    return text
