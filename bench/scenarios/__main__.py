# ruff: noqa: INP001, T201, S603
"""Run the table of scenarios and techniques, and write what came out to `docs/scenarios.md`.

    python bench/scenarios [--samples DIR] [--missing] [word in a cell's name ...]

Each cell that is run replaces its own result; exit status 1 says that some failed. Without words all are run, which
takes half an hour to an hour on 2 idle cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cells
import page
import results
from cells import Cell
from running import CellFailed, measure

PAGE = cells.REPOSITORY / "docs" / "scenarios.md"


def main() -> int:
    """Run the chosen cells one after the other; a result is written as soon as it is there."""
    parser = argparse.ArgumentParser(prog="bench/scenarios", description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="run only cells with one of these in their names")
    parser.add_argument("--samples", type=Path, help="folder of sample models and data; made where it is not given")
    parser.add_argument(
        "--missing", action="store_true", help="run only cells without a result of the job as it stands"
    )
    parser.add_argument("--page-only", action="store_true", help="run nothing, write the page from the results")
    options = parser.parse_args()
    wanted = () if options.page_only else _wanted(options.words, missing=options.missing)
    failed = _run_all(wanted, options.samples or _samples()) if wanted else []
    known = {cell.name for cell in cells.cells()}
    PAGE.write_text(page.page({name: one for name, one in results.read().items() if name in known}), encoding="utf-8")
    print("\n".join(["", *failed]) if failed else f"wrote {PAGE.relative_to(cells.REPOSITORY)}")
    return 1 if failed else 0


def _wanted(words: list[str], *, missing: bool) -> tuple[Cell, ...]:
    known = {name: one.digest for name, one in results.read().items()} if missing else {}
    return tuple(cell for cell in cells.chosen(words) if known.get(cell.name) != cell.digest)


def _run_all(wanted: tuple[Cell, ...], samples: Path) -> list[str]:
    """Run each job once; cells that are the same job under other names share its figures."""
    failed: list[str] = []
    done: set[str] = set()
    for cell in wanted:
        if cell.digest in done:
            continue
        done.add(cell.digest)
        start = time.monotonic()
        try:
            with tempfile.TemporaryDirectory() as folder:
                found = measure(cell, samples, Path(folder))
        except CellFailed as error:
            failed.append(str(error))
            print(f"{cell.name}: FAILED\n{error}", flush=True)
            continue
        same = [one.name for one in cells.cells() if one.digest == cell.digest]
        results.write({**results.read(), **dict.fromkeys(same, found)})
        change = f"{found.metric} {found.before:g} -> {found.after:g}, again {found.reloaded:g}"
        figures = f"{found.trainable_parameters:,} trained, {found.peak_mib:,} MiB, {found.train_seconds:.0f} s"
        print(f"{', '.join(same)}: {change}; {figures} ({time.monotonic() - start:.0f} s in all)", flush=True)
    return failed


def _samples() -> Path:
    command = [sys.executable, str(cells.REPOSITORY / "e2e" / "cluster"), "samples"]
    return Path(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
