"""The command line: `python -m finetune_operator`."""

from __future__ import annotations

import argparse
import asyncio
import pathlib
import sys
from collections.abc import Sequence

from finetune_operator import __version__
from finetune_operator.runtime.app import CannotStart, run
from finetune_operator.runtime.config import ConfigError, load
from finetune_operator.telemetry import logs

WRONG_CONFIG = 2
CANNOT_START = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the operator; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="finetune_operator",
        description="Watches FineTuneJobs and runs them. In a pod it uses the service account, "
        "elsewhere the current kubeconfig.",
    )
    parser.add_argument("--config", type=pathlib.Path, help="operator configuration (YAML); without it, all defaults")
    parser.add_argument("--version", action="version", version=f"finetune-operator {__version__}")
    options = parser.parse_args(arguments)
    try:
        config = load(options.config)
    except ConfigError as error:
        sys.stderr.write(f"finetune_operator: {error}\n")
        return WRONG_CONFIG
    logs.setup(config.logs.level, as_json=config.logs.as_json)
    try:
        asyncio.run(run(config))
    except CannotStart as error:
        sys.stderr.write(f"finetune_operator: {error}\n")
        return CANNOT_START
    return 0
