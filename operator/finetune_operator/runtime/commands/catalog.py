"""`finetune_operator catalog`: models, accelerators, instance types and techniques that are known; `main` is the entry.

Not here: the facts themselves (`planning.catalog`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import Accelerator, Instance, ModelShape, Scenario, Technique
from finetune_operator.planning.memory.estimate import readable
from finetune_operator.runtime.commands import paper, words

FOUND, NOTHING = 0, 1

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the catalog: its entries, the names they are found under, and their two forms."""

    entries: Callable[[], Iterable[Any]]
    names: Callable[[Any], Iterable[str]]
    table: Callable[[Sequence[Any]], Iterable[RenderableType]]
    record: Callable[[Any], Json]


def main(arguments: Sequence[str]) -> int:
    """Show a part of the catalog; return the exit status: 1 if nothing matches."""
    options = _parser().parse_args(arguments)
    part = PARTS[options.part]
    wanted = options.match.casefold()
    found = [one for one in part.entries() if any(wanted in name.casefold() for name in part.names(one))]
    if options.output == "json":
        paper.write(json.dumps([part.record(one) for one in found], indent=2) + "\n")
    elif found:
        paper.show(*part.table(found))
    else:
        paper.show(Text(f"nothing in the catalog's {options.part} matches '{options.match}'"))
    return FOUND if found else NOTHING


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="finetune_operator catalog",
        description="Shows what plans are made of. Sources of all figures stand in the data files and in -o json.",
    )
    parser.add_argument("part", choices=tuple(PARTS))
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: table")
    parser.add_argument("--match", default="", metavar="TEXT", help="only entries with this in one of their names")
    return parser


def _models(found: Sequence[ModelShape]) -> Iterable[RenderableType]:
    table = _table("model", "parameters", "kind", "layers", "hidden", "tokens")
    for one in found:
        depth = f"{one.layers} + {one.decoder_layers}" if one.decoder_layers else str(one.layers)
        table.add_row(
            one.name, words.count(one.parameters), one.kind.value, depth, str(one.hidden), str(one.max_positions)
        )
    return (table, _hint(found, "model.name"))


def _accelerators(found: Sequence[Accelerator]) -> Iterable[RenderableType]:
    table = _table("accelerator", "memory", "bf16", "half", "fp32", "bandwidth", "reached", "from", "for")
    for one in found:
        cheapest = None if one.vendor is catalog.Vendor.CPU else catalog.cheapest(one.key, 1)
        price = (f"{words.money(cheapest.price_usd_per_hour)}/h", f"{cheapest.devices}") if cheapest else ("", "")
        known = ("",) * 5
        if one.memory_gib:
            speeds = (f"{one.tflops_of('half'):.0f} T", f"{one.tflops_of('fp32'):.0f} T")
            bandwidth = f"{one.bandwidth_gb_per_second:g} GB/s"
            known = (readable(one.memory_bytes), "yes" if one.bf16 else "no", *speeds, bandwidth)
        table.add_row(one.key, *known, f"{one.utilization:.0%}", *price)
    yield table
    yield Text("\nmemory: what a process can use; half, fp32: dense peak in TFLOP/s; reached: part of it that", "dim")
    yield Text("fine-tuning reaches; from: the cheapest instance type, with so many of it", "dim")
    yield _hint(found, "hardware.accelerator")


def _instances(found: Sequence[Instance]) -> Iterable[RenderableType]:
    table = _table("instance type", "devices", "cpus", "memory", "an hour", "in", "on")
    for one in sorted(found, key=lambda each: (each.provider, each.accelerator, each.price_usd_per_hour)):
        devices = f"{one.devices}x {one.accelerator}" if one.devices else one.accelerator
        table.add_row(
            one.name,
            devices,
            str(one.cpus),
            f"{one.memory_gib:g} GiB",
            words.money(one.price_usd_per_hour),
            f"{one.provider.value} {one.region}",
            one.price_date.isoformat(),
        )
    return (table, _hint(found, "hardware.instanceType"))


def _techniques(found: Sequence[Scenario]) -> Iterable[RenderableType]:
    table = _table("scenario", *(technique.value for technique in Technique))
    for row in found:
        cells = (catalog.advice(row.id, technique) for technique in Technique)
        table.add_row(row.description, *(Text("Y", "green") if one.serves else Text("N", "red") for one in cells))
    yield table
    yield Text("\ndeepspeed and zero: distribution.strategy deepspeed, with its zeroStage", style="dim")
    for row in found:
        yield from _advice(row)


def _advice(row: Scenario) -> Iterable[RenderableType]:
    cells = [catalog.advice(row.id, technique) for technique in Technique]
    barred = [one for one in cells if not one.serves]
    told = [Text(f"{one.technique.value}: {one.note}", "dim") for one in cells if one.note]
    if barred:
        names = ", ".join(one.technique.value for one in barred)
        instead = " or ".join(technique.value for technique in barred[0].instead)
        told.insert(0, Text(f"instead of {names}: {instead}; {barred[0].reason}"))
    if told:
        yield Text(f"\n{row.description}", style="bold")
    for text in told:
        yield Padding(text, (0, 0, 0, 2))


def _table(*header: str) -> Table:
    return paper.columns(*("left" if name in LEFT else "right" for name in header), header=header)


def _hint(found: Sequence[Any], field: str) -> Text:
    return Text(f"\n{len(found)} entries, for spec.{field}", style="dim")


def _plain(entry: BaseModel) -> Json:
    return entry.model_dump(mode="json", by_alias=True, exclude_none=True)


def _scenario(row: Scenario) -> Json:
    cells = {technique.value: _plain(catalog.advice(row.id, technique)) for technique in Technique}
    told = {name: {key: value for key, value in cell.items() if key not in CELL_PLACE} for name, cell in cells.items()}
    return {"id": row.id, "description": row.description, "techniques": told}


LEFT = frozenset({"accelerator", "model", "instance type", "scenario", "kind", "cloud", "devices", "bf16", "in", "on"})
"""Columns of words."""

CELL_PLACE = frozenset({"scenario", "technique"})

PARTS: Mapping[str, Part] = {
    "models": Part(
        catalog.models, lambda one: one.names, _models, lambda one: _plain(one) | {"parameters": one.parameters}
    ),
    "accelerators": Part(catalog.accelerators, lambda one: (*one.names, one.name), _accelerators, _plain),
    "instances": Part(catalog.instances, lambda one: (*one.names, one.accelerator), _instances, _plain),
    "techniques": Part(catalog.scenarios, lambda one: (one.id, one.description), _techniques, _scenario),
}
