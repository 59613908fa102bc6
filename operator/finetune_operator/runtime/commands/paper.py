"""Where tables are printed: colours and the window's width on a terminal, plain lines of a fixed width elsewhere.

rich is imported late: programs that ask for JSON do without.

Not here: what is printed (`runtime.commands.presentation`, `runtime.commands.catalog`).
"""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

WIDTH: Final = 100
"""Columns of output that no terminal shows, so that it is the same everywhere."""

WIDEST: Final = 140
"""Columns beyond which tables are hard to read."""


@dataclass(frozen=True, slots=True)
class Letters:
    """Signs that bars and lists are made of."""

    full: str = "█"
    thin: str = "▏"
    free: str = "·"
    end: str = "│"
    over: str = "▓"
    then: str = "→"
    point: str = "•"


PLAIN: Final = Letters("#", "|", ".", "|", "!", "->", "-")
"""For an output that knows no other letters than English."""


def letters() -> Letters:
    """Return the signs that standard output can show."""
    try:
        "".join(getattr(Letters(), name) for name in Letters.__slots__).encode(_encoding())
    except UnicodeEncodeError:
        return PLAIN
    return Letters()


def columns(*justify: Literal["left", "right"], header: tuple[str, ...] = (), firm: bool = True) -> Table:
    """Return a table without lines. Where the first column is `firm` it is never cut: names have to be copied whole."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=bool(header), header_style="dim", pad_edge=False)
    for number, side in enumerate(justify):
        table.add_column(header[number] if header else "", justify=side, no_wrap=firm and number == 0)
    return table


def width(otherwise: int = WIDTH) -> int:
    """Return the columns of standard output; `otherwise` where no terminal shows it."""
    from rich.console import Console

    return min(WIDEST, Console().width) if sys.stdout.isatty() else otherwise


def show(*pieces: RenderableType, width: int = WIDTH) -> None:
    """Print pieces one below the other; `width` is that of an output which no terminal shows."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    console = Console(
        file=io.StringIO(),
        force_terminal=terminal,
        color_system="auto" if terminal else None,
        width=min(WIDEST, Console().width) if terminal else width,
        highlight=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as captured:
        for piece in pieces:
            console.print(piece)
    write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def write(text: str) -> None:
    """Write text to standard output, in letters that it knows; a reader who leaves early is no error."""
    try:
        sys.stdout.write(text.encode(_encoding(), "replace").decode(_encoding()))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains of it at its end


def _encoding() -> str:
    return sys.stdout.encoding or "utf-8"
