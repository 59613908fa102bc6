"""A bar under the log lines, for a person who watches a run on a terminal; a pod has none, and its log only the lines.

It is drawn in a thread of its own from what the journal knows, so that a slow terminal never holds training up.

Not here: the lines (`callback.py`).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from finetune_trainer.contract import Progress
from finetune_trainer.reporting.journal import Journal

if TYPE_CHECKING:
    from rich.console import RenderableType

DRAWN_PER_SECOND = 4
BAR_COLUMNS = 30


@contextlib.contextmanager
def shown(journal: Journal) -> Iterator[None]:
    """Show the progress while stdout is a terminal; what is printed appears above it, and stays."""
    if not sys.stdout.isatty():
        yield
        return
    from rich.console import Console
    from rich.live import Live

    live = Live(
        console=Console(file=sys.stdout),
        get_renderable=lambda: _drawn(journal.progress),
        refresh_per_second=DRAWN_PER_SECOND,
        redirect_stderr=sys.stderr.isatty(),
        transient=True,
    )
    with live:
        live.console.show_cursor()  # hidden by now, and a process that ends at once would leave it so
        yield


def _drawn(now: Progress) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    line = Table.grid(padding=(0, 1))
    if now.total_steps is None:
        line.add_row(now.phase.value)
        return line
    numbers = {
        "loss {:.4f}": now.loss,
        "{:,.0f} tokens/s": now.tokens_per_second,
        "{:,} s left": now.eta_seconds,
    }
    said = [f"step {now.step}/{now.total_steps}", *(word.format(n) for word, n in numbers.items() if n is not None)]
    bar = ProgressBar(total=now.total_steps, completed=now.step, width=BAR_COLUMNS)
    line.add_row(now.phase.value, bar, ", ".join(said))
    return line
