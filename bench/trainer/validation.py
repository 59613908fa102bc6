# ruff: noqa: INP001, T201, S603, S311
"""Measure how long the check of a large data set takes, and how much memory it holds.

    python bench/trainer/validation.py [BYTES]

Makes a file of conversations (1 GB unless told otherwise) in a temporary folder: their words are Python's own
documentation, their lengths spread as those of real chats do, one in a thousand asks what another row asked. Then it
checks and splits the file in a process of its own, as the first stage of a run does, prints the figures beside what is
promised (60 s and 1 GiB for 1 GB), and removes the file.
"""

import json
import pkgutil
import pydoc
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

GIGABYTE = 1_000_000_000
SECONDS_PROMISED = 60
BYTES_PROMISED = 2**30
MEDIAN_WORDS = 60
TURNS = (2, 2, 2, 4, 6)
REPEATED = 1000
TRAINER = Path(__file__).parents[2] / "trainer"


def main() -> None:
    """Make the file, check it in a child, print the figures."""
    if sys.argv[1:2] == ["--child"]:
        _child(Path(sys.argv[2]))
        return
    size = int(sys.argv[1]) if len(sys.argv) > 1 else GIGABYTE
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chats.jsonl"
        rows = _write(file, size)
        command = [sys.executable, __file__, "--child", str(file)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        *said, last = done.stdout.splitlines()
        print("\n".join(said))
        found = json.loads(last)
        print(f"| bytes | rows | seconds | MB/s | peak MiB | promised for {size / GIGABYTE:g} GB |")
        print("| --- | --- | --- | --- | --- | --- |")
        speed = file.stat().st_size / 1e6 / found["seconds"]
        promised = f"{SECONDS_PROMISED * size / GIGABYTE:g} s, {BYTES_PROMISED // 2**20} MiB"
        peak = found["peak"] // 2**20
        print(f"| {size:,} | {rows:,} | {found['seconds']} | {speed:.1f} | {peak} | {promised} |")
    if found["seconds"] > SECONDS_PROMISED * size / GIGABYTE or found["peak"] > BYTES_PROMISED:
        sys.exit("the promise is not kept")


def _write(file: Path, size: int) -> int:
    """Write conversations of about `size` bytes and return how many."""
    rng, words, written, asked = random.Random(1), list(_words()), 0, ""
    with file.open("w", encoding="utf-8") as stream:
        for number in range(sys.maxsize):
            turns = [_said(rng, words) for _ in range(rng.choice(TURNS))]
            asked = asked if number % REPEATED == 1 else turns[0]
            turns[0] = asked
            messages = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(turns)]
            written += stream.write(json.dumps({"messages": messages}) + "\n")
            if written >= size:
                return number + 1
    raise AssertionError


def _said(rng: random.Random, words: list[str]) -> str:
    length = max(1, round(rng.lognormvariate(0, 0.8) * MEDIAN_WORDS))
    start = rng.randrange(len(words) - length)
    return " ".join(words[start : start + length])


def _words() -> Iterator[str]:
    for module in sorted(each.name for each in pkgutil.iter_modules() if each.name in sys.stdlib_module_names):
        if module not in {"this", "antigravity"} and not module.startswith("_"):
            try:
                yield from pydoc.plain(pydoc.render_doc(module)).split()
            except (ImportError, pydoc.ErrorDuringImport):
                continue


def _child(file: Path) -> None:
    sys.path.insert(0, str(TRAINER))
    sys.path.insert(0, str(Path(__file__).parent))
    import memory
    from finetune_trainer.contract import TrainerRun, from_json
    from finetune_trainer.data.load import load_data

    case = memory.Case(model="none", task="chat", method="lora", batch=8, length=512)
    sample = file.parent / "datasets" / memory.DATASETS[case.task]
    sample.parent.mkdir()
    sample.touch()
    settings = memory.run_of(case, file.parent, file.parent)
    settings["dataset"]["path"] = str(file)
    run = from_json(TrainerRun, json.dumps(settings))
    start = time.monotonic()
    load_data(run)
    seconds = round(time.monotonic() - start, 2)
    print(json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
