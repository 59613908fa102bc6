"""A plan or a refusal as people read it: a verdict, memory as a bar, choices with reasons; `pieces` is the entry.

Not here: the same for programs (`runtime.commands.record`), where it is printed (`runtime.commands.paper`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from finetune_operator.planning.memory.estimate import MIB, MemoryEstimate, readable
from finetune_operator.planning.plan import Plan
from finetune_operator.planning.refusal import Alternative, Refusal
from finetune_operator.runtime.commands import words
from finetune_operator.runtime.commands.paper import Letters, columns, letters

BAR = 46
"""Cells of the memory bar."""

COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_yellow")
MICRO_BATCH = "training.microBatchSize"
SHOWN_APART = frozenset({"memory", "time"})
"""Choices that have a section of their own."""

VALUE_WIDTH = 30
"""Columns for what was chosen; the reason needs the rest."""

SECTION = (0, 0, 0, 2)


def pieces(name: str, answer: Plan | Refusal) -> Iterator[RenderableType]:
    """Yield what is printed of a job's plan, top to bottom."""
    if isinstance(answer, Plan):
        yield from _planned(name, answer)
    else:
        yield from _refused(name, answer)
    yield ""


def _planned(name: str, plan: Plan) -> Iterator[RenderableType]:
    yield _title("fits", "bold green", f"{name}: {plan.method.value} of {plan.shape.name} on {_devices(plan)}")
    yield Text(f"trains {_trained(plan)}, {_run(plan)}", style="dim")
    yield from _memory(plan.memory, plan.limit_bytes, "Memory of each device" if plan.devices > 1 else "Memory")
    if not plan.machine.is_cpu:
        yield Padding(f"and {readable(plan.memory_bytes)} of each node's own memory", SECTION)
    yield from _time(plan)
    yield from _choices(plan)
    if plan.ladder:
        yield _heading("If memory runs out all the same")
        yield Padding(Text(f" {letters().then} ".join(plan.ladder)), SECTION)
    yield from _warnings(plan.warnings)


def _refused(name: str, refusal: Refusal) -> Iterator[RenderableType]:
    yield _title("refused", "bold red", f"{name}: {refusal.reason.value}")
    yield Text(refusal.message)
    if refusal.least and refusal.limit_bytes:
        missing = refusal.least.peak - refusal.limit_bytes
        words_of_it = f"Memory, {readable(max(missing, MIB))} too little" if missing > 0 else "Memory"
        yield from _memory(refusal.least, refusal.limit_bytes, words_of_it)
    if refusal.alternatives:
        yield _heading("What fits")
        yield Padding(_alternatives(refusal.alternatives), SECTION)


def _title(verdict: str, style: str, rest: str) -> Text:
    return Text.assemble((verdict.upper(), style), "  ", (rest, "bold"))


def _heading(words_of_it: str) -> Text:
    return Text(f"\n{words_of_it}", style="bold")


def _devices(plan: Plan) -> str:
    kind = plan.machine.profile or (plan.machine.instance.name if plan.machine.instance else plan.accelerator)
    named = kind if kind == plan.accelerator else f"{plan.accelerator} ({kind})"
    each = f"{plan.devices_per_node} x {named}"
    return f"{plan.nodes} nodes of {each}" if plan.nodes > 1 else each


def _trained(plan: Plan) -> str:
    part, whole = plan.trainable_parameters, plan.shape.parameters
    if part == whole:
        return f"all {words.count(whole)} parameters"
    return f"{words.count(part)} of {words.count(whole)} parameters ({part / whole:.2%})"


def _run(plan: Plan) -> str:
    length = f"{plan.max_steps} steps" if plan.max_steps else f"{plan.epochs:g} epoch{'s' * (plan.epochs != 1)}"
    return f"{length} of {_batch(plan)} rows of up to {plan.sequence_length} tokens"


def _memory(predicted: MemoryEstimate, limit: int, heading: str) -> Iterator[RenderableType]:
    """Draw each term where the one before it ended, so that all of them together show the sum."""
    yield _heading(f"{heading}: {readable(predicted.peak)} of {readable(limit)} ({_percent(predicted.peak, limit)})")
    scale, marks = BAR / max(predicted.peak, limit), letters()
    table = columns("left", "right", "left")
    ends = [0]
    for _name, size in predicted.terms:
        ends.append(ends[-1] + size)
    terms = [term for term in zip(predicted.terms, pairwise(ends), strict=True) if term[0][1]]
    for number, ((name, size), (start, end)) in enumerate(terms):
        cells = round(end * scale) - round(start * scale)
        drawn = marks.full * cells or marks.thin
        table.add_row(
            name, readable(size), Text(" " * round(start * scale) + drawn, style=COLOURS[number % len(COLOURS)])
        )
    table.add_row("together", readable(predicted.peak), _together(predicted.peak * scale, limit * scale, marks))
    yield Padding(table, SECTION)


def _percent(part: int, whole: int) -> str:
    """Write a part of the limit, so that 100 % says that nothing is left, and more that it does not fit."""
    return f"{-(-100 * part // whole) if part > whole else 100 * part // whole} %"


def _together(peak: float, limit: float, marks: Letters) -> Text:
    inside, room = round(min(peak, limit)), round(limit) - round(min(peak, limit))
    return Text.assemble(
        (marks.full * inside, "green" if peak <= limit else "yellow"),
        (marks.free * room, "dim"),
        (marks.end, "bold"),
        (marks.over * (round(peak) - round(limit)), "red"),
    )


def _time(plan: Plan) -> Iterator[RenderableType]:
    time = plan.duration
    if time.low is None or time.high is None:
        yield _heading(f"Time: {time.step_seconds:.2g} s a step, for how many is unknown")
    else:
        yield _heading(f"Time: {words.time(time.low)} to {words.time(time.high)}")
    yield Padding(Text(next(one.reason for one in plan.choices if one.name == "time")), SECTION)
    price = plan.machine.price(plan.devices_per_node, plan.nodes, plan.memory_bytes)
    if price is not None and time.cost_low is not None and time.cost_high is not None:
        yield Padding(
            f"{words.money(time.cost_low)} to {words.money(time.cost_high)}, at {words.money(price)} an hour", SECTION
        )
    elif price is not None:
        yield Padding(f"{words.money(price)} an hour", SECTION)


def _choices(plan: Plan) -> Iterator[RenderableType]:
    yield _heading("Choices")
    table = columns("left", "left", "left")
    table.columns[1].max_width = VALUE_WIDTH
    for one in plan.choices:
        if one.name not in SHOWN_APART:
            table.add_row(one.name.rpartition(".")[2], Text(one.value, style="cyan"), one.reason)
        if one.name == MICRO_BATCH and plan.micro_batch_size < _batch(plan):
            table.add_row("gradientAccumulation", Text(str(plan.gradient_accumulation_steps), style="cyan"), _sum(plan))
    yield Padding(table, SECTION)


def _batch(plan: Plan) -> int:
    return plan.micro_batch_size * plan.gradient_accumulation_steps * plan.devices


def _sum(plan: Plan) -> str:
    each = f"batchSize {_batch(plan)} = microBatchSize {plan.micro_batch_size} x {plan.gradient_accumulation_steps}"
    return f"{each} x {plan.devices} devices" if plan.devices > 1 else each


def _warnings(warnings: tuple[str, ...]) -> Iterator[RenderableType]:
    if warnings:
        yield _heading("Mind")
    for warning in warnings:
        yield Padding(Text(f"{letters().point} {warning}", style="yellow"), SECTION)


def _alternatives(found: tuple[Alternative, ...]) -> Table:
    table = columns("left", "right", "right", "right", header=("change", "memory", "of", "an hour"), firm=False)
    table.columns[0].ratio = 1
    for one in found:
        price = "" if one.price_per_hour is None else words.money(one.price_per_hour)
        table.add_row(Text(one.change, style="cyan"), readable(one.predicted_bytes), readable(one.limit_bytes), price)
    return table
