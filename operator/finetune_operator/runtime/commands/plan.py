"""`finetune_operator plan`: what jobs would be run as, before a cluster or a GPU is asked; `main` is the entry.

Not here: planning (`planning.plan`), the same in the operator (`reconcile`).
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence
from dataclasses import replace

import yaml

from finetune_operator.planning.checks import is_inspected
from finetune_operator.planning.plan import Plan, plan
from finetune_operator.planning.refusal import Refusal
from finetune_operator.runtime.commands import inputs, manifest, paper, pins
from finetune_operator.runtime.commands.complaints import BadInput
from finetune_operator.runtime.commands.record import Record, record

FITS, BAD_INPUT, REFUSED = 0, 2, 3
NAME_WIDTH = 23
"""Columns of a pin's name in the help."""

Answers = list[tuple[str, Plan | Refusal]]


def main(arguments: Sequence[str]) -> int:
    """Plan the jobs of a manifest; return the exit status: 0 all fit, 2 bad input, 3 at least one is refused."""
    options = _parser().parse_args(arguments)
    try:
        fixed = pins.parse(options.pin)
        shape = inputs.shape(options.model_config)
        beside = None if shape else inputs.shape(inputs.beside(options.manifest))
        fixed = replace(fixed, shape=shape)
        jobs = manifest.read(options.manifest, fixed)
        offered = fixed.offered(inputs.profiles(options.profiles))
    except BadInput as error:
        sys.stderr.write("".join(f"finetune_operator plan: {line}\n" for line in str(error).splitlines()))
        return BAD_INPUT
    answers: Answers = []
    for job in jobs:
        read = shape or (beside if is_inspected(job.spec) else None)
        named = read and read.model_copy(update={"name": job.spec.model.name})
        answer = plan(job.spec, offered, stack=fixed.stack, shape=named)
        noted = replace(answer, warnings=answer.warnings + fixed.notes) if isinstance(answer, Plan) else answer
        answers.append((job.name, noted))
    _print(answers, options.output)
    return FITS if all(isinstance(answer, Plan) for _name, answer in answers) else REFUSED


def _print(answers: Answers, form: str) -> None:
    if form == "table":
        from finetune_operator.runtime.commands import presentation

        paper.show(*(piece for name, answer in answers for piece in presentation.pieces(name, answer)))
        return
    records = [record(name, answer) for name, answer in answers]
    paper.write(
        _as_json(records) if form == "json" else yaml.safe_dump_all(records, sort_keys=False, width=paper.WIDTH)
    )


def _as_json(records: list[Record]) -> str:
    """Write one job as an object, several as a list."""
    return json.dumps(records[0] if len(records) == 1 else records, indent=2) + "\n"


def _parser() -> argparse.ArgumentParser:
    pin_lines = "\n".join(f"  {name:<{NAME_WIDTH}} {meaning}" for name, meaning in pins.described())
    parser = argparse.ArgumentParser(
        prog="finetune_operator plan",
        description="Shows how a FineTuneJob would run: method, memory, time and cost, each with its reason.",
        epilog=f"pins:\n{pin_lines}\n  PATH                    any other field below spec, as training.packing=true\n\n"
        "exit status: 0 it fits, 2 bad input, 3 it is refused",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("manifest", metavar="job.yaml", help="manifest with FineTuneJobs; - reads standard input")
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table", help="default: table")
    parser.add_argument(
        "--profiles", type=pathlib.Path, metavar="FILE", help="the operator's config file, or its profiles part alone"
    )
    parser.add_argument(
        "--model-config",
        type=pathlib.Path,
        metavar="FILE",
        help="config.json of a model outside the catalog; unset: job.config.json beside job.yaml, of one on a claim",
    )
    parser.add_argument(
        "--pin",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="fix a choice, in place of what the job says; repeatable",
    )
    return parser
