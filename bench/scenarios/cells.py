# ruff: noqa: INP001
"""The cells of the table that say yes, each a manifest below `examples/scenarios`, and what each is compared with.

`<scenario>/<technique>.yaml` is a cell. `<scenario>/full*.yaml` trains every weight on one process: the baseline of the
cells beside it that teach the same model the same task.

Not here: carrying one out (`running.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.planning import catalog
from finetune_operator.runtime.commands import manifest, pins

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "examples" / "scenarios"
BASELINE = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One manifest."""

    scenario: str
    technique: str
    """A column of the table, or `full` with more words for a baseline."""
    file: Path

    @property
    def name(self) -> str:
        """Name the cell as the command line does."""
        return f"{self.scenario}/{self.technique}"

    @property
    def is_baseline(self) -> bool:
        """Tell whether the cell is one that others are compared with."""
        return self.technique.startswith(BASELINE)

    @property
    def spec(self) -> FineTuneJobSpec:
        """Read what the job asks for, as strictly as the API server."""
        (job,) = manifest.read(str(self.file), pins.parse([]))
        return job.spec

    @property
    def digest(self) -> str:
        """Tell this job from any other: a hash of what it asks for, comments, order and defaults left out."""
        asked = self.spec.model_dump(mode="json", exclude_unset=True)
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def cells(folder: Path = FOLDER) -> tuple[Cell, ...]:
    """Return every manifest, row by row of the table, baselines first."""
    rows, columns = ([row.id for row in catalog.scenarios()], [str(one) for one in catalog.Technique])

    def place(cell: Cell) -> tuple[int, int, str]:
        column = -1 if cell.is_baseline else columns.index(cell.technique)
        return rows.index(cell.scenario), column, cell.technique

    found = (Cell(scenario=file.parent.name, technique=file.stem, file=file) for file in folder.glob("*/*.yaml"))
    return tuple(sorted(found, key=place))


def chosen(wanted: Sequence[str]) -> tuple[Cell, ...]:
    """Return the cells whose names hold one of the words; all for none.

    Raises:
        LookupError: a word is in no cell's name.
    """
    everything = cells()
    for word in wanted:
        if not any(word in cell.name for cell in everything):
            raise LookupError(f"no cell is called {word}: {', '.join(cell.name for cell in everything)}")
    return tuple(cell for cell in everything if not wanted or any(word in cell.name for word in wanted))


def baseline(cell: Cell) -> Cell:
    """Return what a cell is compared with.

    Raises:
        LookupError: no baseline beside it teaches the same model the same task.
    """
    taught = _taught(cell)
    for other in cells():
        if other.is_baseline and other.scenario == cell.scenario and _taught(other) == taught:
            return other
    raise LookupError(f"{cell.name} has no baseline: a full*.yaml beside it with the same model, task and data")


def _taught(cell: Cell) -> tuple[object, ...]:
    """Return what cell and baseline have in common."""
    spec = cell.spec
    return spec.model, spec.task, spec.dataset, spec.training.max_steps, spec.training.batch_size
