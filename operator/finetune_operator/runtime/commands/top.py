"""`finetune_operator top`: all jobs in the terminal, for people without Grafana; it reads the API and nothing else.

Not here: what the words mean (`status`), the operator itself (`runtime.app`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from finetune_operator.api import timestamps
from finetune_operator.runtime import clock
from finetune_operator.runtime.commands import paper

if TYPE_CHECKING:
    from rich.console import RenderableType

    from finetune_operator.cluster.client import Client

Body = dict[str, Any]

EVERY_SECONDS = 3.0
"""Time between two looks; a status is written no oftener."""

REMEMBERED = 12
"""Losses of a job that its line of bars shows."""

WIDTH = 200
"""Columns of output that no terminal shows: programs read it, and a name that is cut is of no use to them."""

BAR_CELLS = 10
LEVELS, PLAIN_LEVELS = "▁▂▃▄▅▆▇█", "_.-=+*#@"
HEADER = ("JOB", "PHASE", "PROGRESS", "STEP", "LOSS", "COURSE", "ETA", "DEVICES", "TRY", "AGE", "REASON")
ACTIVE = ("Running", "Starting", "Restarting", "Suspending", "Stopping", "Queued", "Pending", "Suspended")
"""Phases in the order in which their jobs are shown; those that ended follow, newest first."""

DISPENSABLE = ("COURSE", "TRY", "AGE", "DEVICES", "STEP", "REASON", "ETA", "LOSS", "PROGRESS")
"""Columns that a narrow terminal goes without, in the order in which it does."""

GAP = 2
"""Spaces between columns."""

COLOURS = {"Running": "green", "Failed": "red", "Succeeded": "blue", "Restarting": "yellow", "Suspended": "cyan"}
EXPLAINED = ("Pending", "Queued", "Restarting", "Suspended", "Failed")
"""Phases whose message says what to do."""

CANNOT = 1


def main(arguments: Sequence[str]) -> int:
    """Show the jobs; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="finetune_operator top",
        description="Shows all fine-tuning jobs: phase, progress, loss, time left, and why they wait. It asks the "
        "cluster of the current kubeconfig, as kubectl does. Ctrl-C ends it.",
    )
    parser.add_argument("-n", "--namespace", default="", help="jobs of one namespace; default: of all")
    parser.add_argument("--once", action="store_true", help="print the table once, as where no terminal shows it")
    parser.add_argument(
        "--every", type=_seconds, default=EVERY_SECONDS, metavar="SECONDS", help="time between two looks (default: 3)"
    )
    parser.add_argument(
        "--looks",
        type=int,
        choices=range(1, REMEMBERED + 1),
        default=1,
        metavar="NUMBER",
        help="with --once: look so often before printing, up to 12 times (default: 1); a loss has a course from the "
        "second look on",
    )
    options = parser.parse_args(arguments)
    try:
        if sys.stdout.isatty() and not options.once:
            asyncio.run(_live(options.namespace, options.every))
        else:
            asyncio.run(_once(options.namespace, options.looks, options.every))
    except KeyboardInterrupt:
        return 0
    except TopError as error:
        sys.stderr.write(f"finetune_operator top: {error}\n")
        return CANNOT
    return 0


class TopError(Exception):
    """The jobs cannot be read; the message says why and the way out."""


class Unanswered(TopError):
    """The API server does not answer now; it may the next time."""


@dataclass(frozen=True, slots=True)
class Room:
    """Columns and lines that there are for the table; None where there is no end of them."""

    width: int | None = None
    height: int | None = None


class Losses:
    """The last losses of each job that were seen, by uid."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[int, float]]] = {}

    def note(self, jobs: Iterable[Body]) -> None:
        """Remember what each job's loss is now, a step at most once; forget jobs that are gone."""
        known = {}
        for job in jobs:
            uid, progress = job["metadata"]["uid"], _progress(job)
            kept = known[uid] = self._seen.get(uid, deque(maxlen=REMEMBERED))
            if progress.get("loss") is not None and (not kept or kept[-1][0] != progress.get("step")):
                kept.append((progress.get("step", 0), progress["loss"]))
        self._seen = known

    def of(self, job: Body) -> tuple[float, ...]:
        """Return the losses of a job, oldest first."""
        return tuple(loss for _step, loss in self._seen.get(job["metadata"]["uid"], ()))


def table(jobs: Sequence[Body], losses: Losses, now: float, *, room: Room, said: str = "") -> RenderableType:
    """Return the table of jobs, as much of it as there is room for, and below it why jobs wait and what is `said`."""
    from rich.console import Group
    from rich.text import Text

    if not jobs:
        return Text("\n\n".join(filter(None, ("no FineTuneJob here; see examples/ for one to begin with", said))))
    cells = [row(job, losses.of(job), now) for job in sorted(jobs, key=_order)]
    lines = len(cells) if room.height is None else max(1, room.height - 2 - bool(said))
    left_out = len(cells) - lines
    notes = [f"and {left_out} more; -n shows those of one namespace, --once all of them"] if left_out > 0 else []
    notes += [said] if said else []
    if left_out <= 0:
        taken = 1 + len(cells) + len(notes)
        notes = [*_fitting(explanations(jobs), room, taken), *notes]
    return Group(_rows(cells[:lines], room), *(Text(note) for note in notes))


def _rows(cells: Sequence[Sequence[str]], room: Room) -> RenderableType:
    from rich.text import Text

    kept = _columns(cells, room)
    sides: list[Literal["left", "right"]] = ["left"] * len(kept)
    shown = paper.columns(*sides, header=tuple(HEADER[number] for number in kept))
    for number, column in enumerate(shown.columns):
        column.no_wrap = number > 0  # where a name alone is too long, it goes on in the next line and is not cut
        column.overflow = "fold"
    for line in cells:
        shown.add_row(*(Text(line[number], COLOURS.get(line[number], "") if number == 1 else "") for number in kept))
    return shown


def _columns(cells: Sequence[Sequence[str]], room: Room) -> list[int]:
    """Return the numbers of the columns that there is room for; one without anything in it is left out."""
    wide = [max(len(name), *(len(line[number]) for line in cells)) + GAP for number, name in enumerate(HEADER)]
    kept = [number for number, name in enumerate(HEADER) if name != "COURSE" or any(line[number] for line in cells)]
    for name in DISPENSABLE:
        if room.width is not None and sum(wide[number] for number in kept) - GAP > room.width:
            kept = [number for number in kept if HEADER[number] != name]
    return kept


def _fitting(said: Iterable[tuple[str, str]], room: Room, taken: int) -> Iterator[str]:
    for name, why in said:
        note = f"\n{name}: {why}"
        taken += 1 + -(-len(note) // (room.width or len(note)))
        if room.height is not None and taken > room.height:
            return
        yield note


def explanations(jobs: Iterable[Body]) -> Iterator[tuple[str, str]]:
    """Yield the names of jobs that wait or failed, and what their messages say about it."""
    for job in sorted(jobs, key=_order):
        status = job.get("status") or {}
        if status.get("phase") in EXPLAINED and status.get("message"):
            yield _name(job), status["message"]


def row(job: Body, losses: Sequence[float], now: float) -> tuple[str, ...]:
    """Return the texts of a job's line, in the order of HEADER."""
    metadata, status = job["metadata"], job.get("status") or {}
    columns, phase = status.get("columns") or {}, status.get("phase") or "New"
    return (
        _name(job),
        phase,
        bar(_progress(job).get("percent")),
        columns.get("step", ""),
        columns.get("loss", ""),
        sparkline(losses),
        columns.get("eta", ""),
        columns.get("devices", ""),
        columns.get("attempt", ""),
        age(now - timestamps.parse(metadata["creationTimestamp"])),
        columns.get("reason", ""),
    )


def bar(percent: int | None) -> str:
    """Draw how far a job is; nothing where it has not begun."""
    if percent is None:
        return ""
    letters = paper.letters()
    full = round(BAR_CELLS * max(0, min(100, percent)) / 100)
    return f"{letters.full * full}{letters.free * (BAR_CELLS - full)} {percent}%"


def sparkline(values: Sequence[float]) -> str:
    """Draw values as bars, the smallest lowest."""
    if len(values) < 2:  # noqa: PLR2004 - one value has no course
        return ""
    levels = PLAIN_LEVELS if paper.letters() is paper.PLAIN else LEVELS
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(levels[round((value - low) / span * (len(levels) - 1))] for value in values)


def age(seconds: float) -> str:
    """Write an age with its largest unit, as kubectl does for old things."""
    for unit, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * unit:
            return f"{seconds // unit:.0f}{letter}"
    return f"{max(0.0, seconds):.0f}s"


async def _once(namespace: str, looks: int, every: float) -> None:
    client, losses = await _connect(), Losses()
    try:
        losses.note(jobs := await _jobs(client, namespace))
        for _ in range(looks - 1):
            await asyncio.sleep(every)
            losses.note(jobs := await _jobs(client, namespace))
        width = paper.width(WIDTH)
        paper.show(table(jobs, losses, clock.now(), room=Room(width)), width=width)
    finally:
        await client.close()


async def _live(namespace: str, every: float) -> None:
    from rich.live import Live

    client, losses = await _connect(), Losses()
    try:
        jobs, said = await _jobs(client, namespace), ""
        with Live(screen=True, auto_refresh=False) as live:
            while True:
                losses.note(jobs)
                room = Room(live.console.width, live.console.height)
                live.update(table(jobs, losses, clock.now(), room=room, said=said), refresh=True)
                await asyncio.sleep(every)
                try:
                    jobs, said = await _jobs(client, namespace), ""
                except Unanswered as error:
                    said = f"{error}; these are the jobs as they were, trying again"
    finally:
        await client.close()


async def _connect() -> Client:
    from finetune_operator.cluster.client import NoCluster, connect

    try:
        client, _inside = await connect(lambda *_: None)
    except NoCluster as error:
        raise TopError(f"no cluster: {error}; set KUBECONFIG or the current context") from error
    return client


async def _jobs(client: Client, namespace: str) -> list[Body]:
    from finetune_operator.cluster.client import JOBS
    from finetune_operator.cluster.errors import ApiError, NotFound

    try:
        return await client.list(JOBS, namespace)
    except NotFound as error:
        raise TopError("the cluster knows no FineTuneJob; install the operator's chart, or crds/") from error
    except ApiError as error:
        raise Unanswered(f"the API server says: {error}") from error


def _order(job: Body) -> tuple[int, float]:
    phase = (job.get("status") or {}).get("phase") or "Pending"
    place = ACTIVE.index(phase) if phase in ACTIVE else len(ACTIVE)
    return place, -timestamps.parse(job["metadata"]["creationTimestamp"])


def _name(job: Body) -> str:
    return f"{job['metadata']['namespace']}/{job['metadata']['name']}"


def _progress(job: Body) -> Body:
    found: Body = (job.get("status") or {}).get("progress") or {}
    return found


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.5 <= seconds <= 3600:  # noqa: PLR2004 - the message says it
        raise argparse.ArgumentTypeError(f"{json.dumps(text)} is no time between 0.5 and 3600 seconds")
    return seconds
