# ruff: noqa: INP001, T201, S603
"""Measure which share of a training step passes waiting for its rows, and what tokenizing once for all attempts saves.

    python bench/trainer/data_loading.py SAMPLES_DIR [case ...]

Each case trains the smallest models there are, so that steps are as short and the share is as large as it gets. The
second attempt of a case finds the rows that the first one made.
"""

import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import memory
from memory import MINILM, PHI3, T5, Case

CASES = (
    Case(model=MINILM, task="text-classification", method="lora", batch=8, length=64),
    Case(model=MINILM, task="token-classification", method="lora", batch=8, length=64),
    Case(model=PHI3, task="chat", method="lora", batch=8, length=128),
    Case(model=PHI3, task="preference", method="lora", batch=8, length=128),
    Case(model=T5, task="translation", method="lora", batch=8, length=128),
)
HELD_OUT = 0.01
"""Share of the rows that is measured after training, which is not what is timed here."""

WARM_UP = 2
"""Steps of an epoch that are not timed."""

MADE = re.compile(r"tokens: rows made in ([0-9.]+) s")


def main() -> None:
    """Run the cases and print a Markdown table row for each attempt as it comes."""
    if sys.argv[1] == "--child":
        _child(Path(sys.argv[2]))
        return
    samples, wanted = Path(sys.argv[1]), sys.argv[2:]
    print("| case | attempt | rows | step ms | waiting ms | share % | rows to tokens s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        if not wanted or any(word in case.name for word in wanted):
            _measure(case, samples)


def _measure(case: Case, samples: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = memory.run_of(case, samples, Path(folder))
        rows = str(samples / "datasets" / memory.DATASETS[case.task])
        run["dataset"] |= {"path": rows, "validationFraction": HELD_OUT}
        run |= {"cacheDirectory": f"{folder}/cache", "evaluation": {"everySteps": None, "baseline": False}}
        for attempt in (1, 2):
            run["checkpoints"]["directory"] = f"{folder}/checkpoints-{attempt}"
            file = Path(folder) / "run.json"
            file.write_text(json.dumps(run), encoding="utf-8")
            command = [sys.executable, __file__, "--child", str(file)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"| {case.name} | failed: {(done.stdout + done.stderr).strip().splitlines()[-1]} |", flush=True)
                return
            found = json.loads(done.stdout.splitlines()[-1])
            made = sum(float(seconds) for seconds in MADE.findall(done.stdout))
            step, waiting = (1000 * found[name] / found["steps"] for name in ("seconds", "waiting"))
            print(
                f"| {case.name} | {attempt} | {found['rows']:,} | {step:.1f} | {waiting:.2f} | "
                f"{100 * waiting / step:.2f} | {made or found['prepared']:.1f} |",
                flush=True,
            )


def _child(run: Path) -> None:
    sys.path.insert(0, str(memory.TRAINER))
    from finetune_trainer.__main__ import fine_tune
    from finetune_trainer.data.library_rows import LibraryRows
    from finetune_trainer.process import environment
    from finetune_trainer.process.attempt import carry_out

    environment.prepare()
    from transformers import Trainer

    found: dict[str, Any] = {"steps": 0, "waiting": 0.0, "seconds": 0.0, "rows": 0, "prepared": 0.0}
    loader, obtain = Trainer.get_train_dataloader, LibraryRows.obtain

    def timed_loader(trainer: Any) -> Any:
        found["rows"] = len(trainer.train_dataset)
        return _Timed(loader(trainer), found)

    def timed_obtain(side: LibraryRows, prepare: Any) -> Any:
        start = time.monotonic()
        rows = obtain(side, prepare)
        found["prepared"] += time.monotonic() - start
        return rows

    Trainer.get_train_dataloader, LibraryRows.obtain = timed_loader, timed_obtain
    code = carry_out(run, fine_tune)
    print(json.dumps(found))
    sys.exit(code)


class _Timed:
    """A data loader that counts the seconds from one question for a batch to the next, and those until it is there.

    An epoch's first steps are left out, and so is all that is not a step: checkpoints, measurements.
    """

    def __init__(self, loader: Any, found: dict[str, Any]) -> None:
        self._loader, self._found = loader, found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        batches, asked, waited = iter(self._loader), 0.0, 0.0
        for number in itertools.count():
            start = time.monotonic()
            if number > WARM_UP:
                self._found["steps"] += 1
                self._found["seconds"] += start - asked
                self._found["waiting"] += waited
            try:
                batch = next(batches)
            except StopIteration:
                return
            asked, waited = start, time.monotonic() - start
            yield batch


if __name__ == "__main__":
    main()
