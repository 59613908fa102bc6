"""Rows that a training library turns into tokens itself, kept in the same way as those that we make.

The library is given the rows by a file, so that neither they nor the tokens have to fit into memory, and is shown one
row where it wants to know what kind they are.

Not here: rows that an objective makes (`prepared.py`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset

from finetune_trainer.data.lengths import Lengths
from finetune_trainer.data.load import Data
from finetune_trainer.data.prepared import Preparation, facts_of, lengths_of, own_folder
from finetune_trainer.data.rows import Example
from finetune_trainer.data.token_store import Row, TokenStore, batched, write_file

Prepare = Callable[[Dataset], tuple[Dataset, Lengths]]
"""Turns rows into tokens, and says how long they were."""

RAW = "rows.arrow"


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryRows:
    """One side's rows; `key` knows them, `shape` turns an example into what the library reads."""

    preparation: Preparation
    key: str
    examples: Iterable[Example]
    shape: Callable[[Example], Row]
    is_learnt: bool
    packed: bool = False

    def sample(self) -> Dataset:
        """Give the first row, by which the library knows what it has before it."""
        return Dataset.from_list([self.shape(next(iter(self.examples)))])

    def obtain(self, prepare: Prepare) -> Dataset:
        """Give all rows as tokens, prepared by the library unless an attempt of this job has.

        The processes of a training decide alike: the library makes them wait for each other inside.
        """
        store = self.preparation.store
        found = store.find(self.key)
        if all(gather_object([found is not None])) and found:
            print("tokens: here already")
        else:
            found = self._made(prepare)
        file, facts = found
        if self.is_learnt:
            self.preparation.tell(lengths_of(facts), packed=self.packed)
        return Dataset.from_file(str(file))

    def _made(self, prepare: Prepare) -> tuple[Path, Any]:
        store, state = self.preparation.store, PartialState()
        with tempfile.TemporaryDirectory(dir=self.preparation.folder, prefix=".making-") as work:
            raw = Path(work) / RAW
            write_file(raw, batched(map(self.shape, self.examples)), narrow=False)
            dataset, lengths = prepare(Dataset.from_file(str(raw)))
            facts = facts_of(lengths)
            if state.is_main_process:
                store.write(self.key, _rows_of(dataset), facts)
            state.wait_for_everyone()
            if found := store.find(self.key):
                return found
            # Another node, which does not see the volume of the first one.
            own = TokenStore(own_folder())
            return own.write(self.key, _rows_of(dataset), facts), facts


def sides(
    preparation: Preparation, data: Data, held_out: Iterable[Example], shape: Callable[[Example], Row], **settings: Any
) -> dict[str, LibraryRows]:
    """Give both sides by TRL's names for them; `settings` are what beside the run shapes their tokens."""
    both = {"train": (data.training.digest, data.training), "eval": (data.validation.digest, held_out)}
    return {
        name: LibraryRows(
            preparation=preparation,
            key=preparation.key(digest, {**settings, "side": name}),
            examples=examples,
            shape=shape,
            is_learnt=name == "train",
            packed=bool(settings.get("packing")),
        )
        for name, (digest, examples) in both.items()
    }


def row_lengths(dataset: Dataset, *columns: str) -> np.ndarray[Any, Any]:
    """Count the tokens of each row, over all of the columns, without looking at one."""
    table = dataset.with_format("arrow")[:]
    return np.sum([np.asarray(pc.list_value_length(table.column(name))) for name in columns], axis=0)


def _rows_of(dataset: Dataset) -> Iterator[list[Row]]:
    for batch in dataset.iter(batch_size=1000):
        names = list(batch)
        yield [dict(zip(names, values, strict=True)) for values in zip(*batch.values(), strict=True)]
