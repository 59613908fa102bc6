"""The command line: `python -m finetune_operator` runs the operator, with `plan` or `catalog` behind it that command.

Not here: the commands (`runtime.commands`). What needs a cluster is imported late, so that they start at once.
"""

from __future__ import annotations

import argparse
import asyncio
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence

from finetune_operator import __version__

WRONG_CONFIG = 2
CANNOT_START = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the operator or a command; return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given and given[0] in COMMANDS:
        return COMMANDS[given[0]](given[1:])
    return _operator(given)


def _plan(arguments: Sequence[str]) -> int:
    from finetune_operator.runtime.commands.plan import main as run

    return run(arguments)


def _catalog(arguments: Sequence[str]) -> int:
    from finetune_operator.runtime.commands.catalog import main as run

    return run(arguments)


COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {"plan": _plan, "catalog": _catalog}


def _operator(arguments: Sequence[str]) -> int:
    from finetune_operator.runtime.config import ConfigError, load

    parser = argparse.ArgumentParser(
        prog="finetune_operator",
        description="Watches FineTuneJobs and runs them. In a pod it uses the service account, "
        "elsewhere the current kubeconfig.",
        epilog="Without a cluster: `finetune_operator plan job.yaml` shows how a job would run, "
        "`finetune_operator catalog` what plans are made of. Each has --help.",
    )
    parser.add_argument("--config", type=pathlib.Path, help="operator configuration (YAML); without it, all defaults")
    parser.add_argument("--version", action="version", version=f"finetune-operator {__version__}")
    options = parser.parse_args(arguments)
    try:
        config = load(options.config)
    except ConfigError as error:
        sys.stderr.write(f"finetune_operator: {error}\n")
        return WRONG_CONFIG
    from finetune_operator.runtime.app import CannotStart, run
    from finetune_operator.telemetry import logs

    logs.setup(config.logs.level, as_json=config.logs.as_json)
    try:
        asyncio.run(run(config))
    except CannotStart as error:
        sys.stderr.write(f"finetune_operator: {error}\n")
        return CANNOT_START
    return 0
