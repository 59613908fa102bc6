"""The command line: `python -m finetune_operator` runs the operator, with `plan`, `catalog` or `top` behind it that.

Not here: the commands (`runtime.commands`). What needs a cluster is imported late, so that they start at once.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import gc
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence

from finetune_operator import __version__

WRONG_CONFIG = 2
CANNOT_START = 3
LOST_LEADERSHIP = 4
"""Exit status of a leader that could not renew its Lease; whoever started it starts it again, as a candidate."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the operator or a command; return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given and given[0] in COMMANDS:
        return COMMANDS[given[0]](given[1:])
    if given and not given[0].startswith("-"):
        return _no_command(given[0])
    return _operator(given)


def _no_command(word: str) -> int:
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    sys.stderr.write(
        f"finetune_operator: there is no command '{word}'; {hint}Commands are {', '.join(COMMANDS)}, each with --help; "
        "without one the operator runs\n"
    )
    return WRONG_CONFIG


def _plan(arguments: Sequence[str]) -> int:
    from finetune_operator.runtime.commands.plan import main as run

    return run(arguments)


def _catalog(arguments: Sequence[str]) -> int:
    from finetune_operator.runtime.commands.catalog import main as run

    return run(arguments)


def _top(arguments: Sequence[str]) -> int:
    from finetune_operator.runtime.commands.top import main as run

    return run(arguments)


COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {"plan": _plan, "catalog": _catalog, "top": _top}


def _collect_seldom() -> None:
    """Let the collector of cycles look less often: thousands of parsed objects hold hardly one.

    With 5,000 jobs in memory, reading JSON takes less than half the time.
    """
    gc.freeze()  # what is loaded by now stays for good
    gc.set_threshold(5_000, 10, 10)


def _operator(arguments: Sequence[str]) -> int:
    from finetune_operator.runtime.config import ConfigError, load

    parser = argparse.ArgumentParser(
        prog="finetune_operator",
        description="Watches FineTuneJobs and runs them. In a pod it uses the service account, "
        "elsewhere the current kubeconfig.",
        epilog="Without a cluster: `finetune_operator plan job.yaml` shows how a job would run, "
        "`finetune_operator catalog` what plans are made of. With one: `finetune_operator top` shows all jobs. "
        "Each has --help.",
    )
    parser.add_argument("--config", type=pathlib.Path, help="operator configuration (YAML); without it, all defaults")
    parser.add_argument(
        "--leader-election",
        action=argparse.BooleanOptionalAction,
        help="lead only while holding a Lease, for several operators; default: leaderElection.enabled of the file",
    )
    parser.add_argument("--version", action="version", version=f"finetune-operator {__version__}")
    options = parser.parse_args(arguments)
    try:
        config = load(options.config)
    except ConfigError as error:
        sys.stderr.write(f"finetune_operator: {error}\n")
        return WRONG_CONFIG
    if options.leader_election is not None:
        election = config.leader_election.model_copy(update={"enabled": options.leader_election})
        config = config.model_copy(update={"leader_election": election})
    from finetune_operator.runtime.app import CannotStart, run
    from finetune_operator.runtime.leader import LeadershipLost
    from finetune_operator.telemetry import logs

    _collect_seldom()
    logs.setup(config.logs.level, as_json=config.logs.as_json)
    try:
        asyncio.run(run(config))
    except CannotStart as error:
        sys.stderr.write(f"finetune_operator: {error}\n")
        return CANNOT_START
    except LeadershipLost as lost:
        sys.stderr.write(f"finetune_operator: {lost}\n")
        return LOST_LEADERSHIP
    return 0
