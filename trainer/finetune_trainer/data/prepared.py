"""Rows as tokens: made once for a job, kept on its volume, and found again by its next attempt.

What is kept is known by all that shapes it: the rows, the tokenizer, the settings, the libraries. An attempt with
another sequence length makes its own.

Not here: how an example becomes tokens (`objectives/`).
"""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from finetune_trainer.contract import TokenHistogram, TrainerRun
from finetune_trainer.data.lengths import Lengths, Tally, tell
from finetune_trainer.data.load import Data
from finetune_trainer.data.rows import Example
from finetune_trainer.data.token_store import Row, TokenRows, TokenStore, batched

FOLDER = "tokens"
FORMAT = 1
"""Raised by one whenever rows come out otherwise, so that those of an earlier release are not taken."""

LIBRARIES = ("tokenizers", "transformers", "trl")
LENGTH, LEARNS = "_length", "_learns"
"""What an objective says of a row beside its columns: its tokens before the cut, and whether any is left to learn."""

SECONDS_BETWEEN_LINES = 10.0

Make = Callable[[Sequence[Example]], Iterable[Row]]


class Preparation:
    """Makes the rows of one run; `note` gets what is found out about the data, as `dataset`."""

    def __init__(self, run: TrainerRun, data: Data, tokenizer: Any, note: Callable[..., None]) -> None:
        self._run, self._data, self._note = run, data, note
        self._known_by = [FORMAT, run.task, run.training.sequence_length, run.training.seed, list(data.labels)]
        self._known_by += [_digest(tokenizer), [version(library) for library in LIBRARIES]]
        self.folder = Path(run.cache_directory) / FOLDER if run.cache_directory else own_folder()
        self.store = TokenStore(self.folder)

    def training(self, make: Make, **settings: Any) -> TokenRows:
        """Give the rows to train on; those with nothing to learn are left out.

        Raises:
            TrainerFailure: DataInvalid, when none is left.
        """
        key = self.key(self._data.training.digest, settings)
        file, facts = self._obtained(key, self._data.training, make, Tally(self._run.training.sequence_length))
        self.tell(lengths_of(facts))
        return TokenRows(file)

    def held_out(self, examples: Sequence[Example], make: Make, **settings: Any) -> TokenRows:
        """Give the rows to measure with, all of them, in the order of `examples`."""
        key = self.key(self._data.validation.digest, settings)
        file, _facts = self._obtained(key, examples, make, None)
        return TokenRows(file)

    def key(self, rows: str, settings: Mapping[str, Any]) -> str:
        """Name what is made of these rows with these settings."""
        said = json.dumps([*self._known_by, rows, settings], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:32]

    def tell(self, found: Lengths, *, packed: bool = False) -> None:
        """Say in the log and in the report how long the training rows are."""
        tell(found, self._run.training.sequence_length, packed=packed)
        facts = replace(
            self._data.facts,
            tokens=found.tokens,
            p99_tokens=found.p99,
            total_tokens=found.total,
            truncated_rows=0 if packed else found.truncated,
            unlearnable_rows=found.unlearnable,
        )
        self._note(dataset=facts)

    def _obtained(
        self, key: str, examples: Iterable[Example], make: Make, tally: Tally | None
    ) -> tuple[Path, Mapping[str, Any]]:
        with self.store.alone(key):
            if found := self.store.find(key):
                print("tokens: here already")
                return found
            start = time.monotonic()
            facts: dict[str, Any] = {}
            file = self.store.write(key, _kept(examples, make, tally, facts), facts)
            print(f"tokens: rows made in {time.monotonic() - start:.1f} s, {file.stat().st_size:,} bytes")
        return file, facts


def forget(run: TrainerRun) -> None:
    """Remove the rows of a job that has delivered: no attempt follows, and the volume may be the user's own."""
    if run.cache_directory:
        shutil.rmtree(Path(run.cache_directory) / FOLDER, ignore_errors=True)


def own_folder() -> Path:
    """Make a folder of this process's own, which goes when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="finetune-tokens-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def facts_of(found: Lengths) -> dict[str, Any]:
    """Turn lengths into what a store notes."""
    return asdict(found)


def lengths_of(facts: Mapping[str, Any]) -> Lengths:
    """Read lengths back from what a store noted."""
    return Lengths(**{**facts, "tokens": TokenHistogram(**facts["tokens"])})


def whole_length(cut: int, limit: int, tokenizer: Any, *texts: str) -> int:
    """Give the tokens of a row before it was cut; only a row at the limit is tokenized once more to know."""
    return cut if cut < limit else len(tokenizer(*texts, verbose=False)["input_ids"])


def _kept(examples: Iterable[Example], make: Make, tally: Tally | None, facts: dict[str, Any]) -> Iterator[list[Row]]:
    """Make rows batch by batch and count them; the facts are complete when the last batch is taken."""
    done, said = 0, time.monotonic()
    for batch in batched(examples):
        done += len(batch)
        if time.monotonic() - said > SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            print(f"tokens: {done:,} rows made")
        rows = []
        for row in make(batch):
            length, learns = row.pop(LENGTH), row.pop(LEARNS, True)
            if tally is not None:
                tally.add(length, learns=learns)
            if learns or tally is None:
                rows.append(row)
        yield rows
    if tally is not None:
        facts.update(facts_of(tally.lengths()))


def _digest(tokenizer: Any) -> str:
    """Hash what decides about tokens; how a tokenizer cuts and pads changes with each call and does not count."""
    if getattr(tokenizer, "is_fast", False):
        rules = json.loads(tokenizer.backend_tokenizer.to_str())
        said: Any = {name: value for name, value in rules.items() if name not in {"truncation", "padding"}}
    else:
        said = sorted(tokenizer.get_vocab().items())
    more = [
        type(tokenizer).__name__,
        tokenizer.chat_template,
        {k: str(v) for k, v in tokenizer.special_tokens_map.items()},
    ]
    return hashlib.sha256(json.dumps([said, more], sort_keys=True, default=str).encode()).hexdigest()
