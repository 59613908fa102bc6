"""Reads the numbers of a model from its config.json, for the operator: no plan is made without them.

    python -m finetune_trainer.inspection [run.json]

Standard library only: it is over in a fraction of a second, in a pod of a few megabytes. What the user can put right is
the answer and no failure; what may go by itself, such as a volume that does not answer, is, and is tried again.

Not here: what the numbers mean (the operator's catalog).
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune_trainer import contract
from finetune_trainer.contract import MODEL_CONFIG, MODEL_CONFIG_KEYS, InspectionReport, InspectionRun

VERB = "inspect"
"""The word by which the trainer's own entrypoint does this."""

RUN_FILE = Path("/etc/finetune/run.json")

LARGEST = 1_048_576
"""Bytes of a config.json that are read; real ones have a thousand or two, a few a hundred thousand."""

LONGEST_TEXT = 100
"""Characters that are told of a text among the values."""

NEIGHBOURS = 5
"""Names of a folder that are told where the file is missing."""

NESTED = "text_config"
"""Where a model of texts and images keeps the numbers of its language model."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Carry out the run file named on the command line, else the one that the operator mounts."""
    given = sys.argv[1:] if arguments is None else arguments
    run = contract.from_json(InspectionRun, Path(given[0] if given else RUN_FILE).read_text("utf-8"))
    report = inspect(Path(run.folder))
    print((report.problem and f"{MODEL_CONFIG} {report.problem}") or json.dumps(report.config))
    Path(run.termination_log).write_text(contract.to_json(report), "utf-8")


def inspect(folder: Path) -> InspectionReport:
    """Return the numbers of the model in a folder, or what is wrong with them.

    Raises:
        OSError: the volume does not answer.
    """
    try:
        with (folder / MODEL_CONFIG).open("rb") as file:
            content = file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return InspectionReport(problem=f"does not exist: {_beside(folder)}")
    except IsADirectoryError:
        return InspectionReport(problem="is a folder")
    except PermissionError:
        return InspectionReport(problem="may not be read by the trainer's user; open it for reading by others")
    if len(content) > LARGEST:
        return InspectionReport(problem=f"is larger than {LARGEST} bytes, which no config.json of a model is")
    return _answer(content)


def _answer(content: bytes) -> InspectionReport:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        return InspectionReport(problem=f"is not JSON ({str(error)[:LONGEST_TEXT]})")
    if not isinstance(found, dict):
        return InspectionReport(problem="is not a JSON object")
    report = InspectionReport(config=_numbers(found))
    size = len(contract.to_json(report).encode())
    if size > contract.TERMINATION_MESSAGE_LIMIT:
        return InspectionReport(problem=f"has numbers of {size} bytes together, which those of no model are")
    return report


def _numbers(found: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Return what a plan is made from; a model of several kinds of input is planned as its language model."""
    nested = found.get(NESTED)
    both = {**found, **nested} if isinstance(nested, dict) else found
    return {key: _plain(both[key]) for key in sorted(MODEL_CONFIG_KEYS & both.keys()) if both[key] is not None}


def _plain(value: Any) -> str | int | float | bool:
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:LONGEST_TEXT].encode("utf-8", "replace").decode()  # half a character of JSON's is none of UTF-8's


def _beside(folder: Path) -> str:
    """Say what is there instead of the file."""
    if not folder.is_dir():
        return "there is no such folder"
    try:
        names = sorted(path.name for path in itertools.islice(folder.iterdir(), 1000))
    except PermissionError:
        return "its folder may not be listed"
    if not names:
        return "its folder is empty"
    more = ", ..." if len(names) > NEIGHBOURS else ""
    return f"its folder has {', '.join(names[:NEIGHBOURS])}{more}"


if __name__ == "__main__":
    main()
