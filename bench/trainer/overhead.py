# ruff: noqa: INP001, T201, E402
"""Measure what the trainer adds to a step of training, against a bare TRL script on the same job.

    python bench/trainer/overhead.py SAMPLES_DIR [STEPS]

Both train in one process and take turns after each step, so that both meet the same machine. A step lasts from its
begin to the begin of the next one: callbacks, logging and loading of rows are in it, waiting for the turn is not.
Seconds of the processor are told beside those of the clock, which others on a shared machine disturb.
Checkpoints and measurements are left out: the bare script makes none.
"""

import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "trainer"))

from finetune_trainer.process import environment

environment.prepare()

import memory
from datasets import Dataset
from memory import PHI3, Case
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

STEPS, FIRST = 120, 10
"""Steps of each side, and how many of them only warm up."""

HELD_OUT = 8
CASE = Case(model=PHI3, task="chat", method="lora", batch=8, length=128)
OURS, BARE = "finetune-trainer", "bare TRL"
TARGET = 0.05
CLOCKS = {"clock": time.perf_counter, "processor": time.process_time}


class Turns(TrainerCallback):  # type: ignore[misc]
    """Lets one side train a step while the other waits, and times the steps."""

    baton = threading.Condition()
    turn = OURS
    over: set[str]

    def __init__(self, side: str) -> None:
        self.side = side
        self.seconds: dict[str, list[float]] = {name: [] for name in CLOCKS}
        self._began: dict[str, float] = {}

    def on_step_begin(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Hand over, wait for the turn, and begin."""
        if self._began:
            for name, clock in CLOCKS.items():
                self.seconds[name].append(clock() - self._began[name])
            self._hand_over()
        with self.baton:
            self.baton.wait_for(lambda: Turns.turn == self.side or Turns.over)
        self._began = {name: clock() for name, clock in CLOCKS.items()}

    def on_train_end(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Leave the rest to the other side."""
        Turns.over.add(self.side)
        self._hand_over()

    def _hand_over(self) -> None:
        with self.baton:
            Turns.turn = BARE if self.side == OURS else OURS
            self.baton.notify_all()


Turns.over = set()


def main() -> None:
    """Train on both sides and print the medians and their ratio."""
    samples, steps = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else STEPS  # noqa: PLR2004
    with tempfile.TemporaryDirectory() as folder:
        run = _run(samples, Path(folder), steps)
        bare, ours = Turns(BARE), Turns(OURS)
        sides = [
            threading.Thread(target=_bare, args=(run, bare), daemon=True),
            threading.Thread(target=_ours, args=(run, Path(folder), ours), daemon=True),
        ]
        for side in sides:
            side.start()
        for side in sides:
            side.join()
    for name in CLOCKS:
        _compare(name, [side.seconds[name][FIRST:] for side in (ours, bare)])
    print(f"target: below {TARGET:.0%}")


def _compare(clock: str, kept: list[list[float]]) -> None:
    medians = [statistics.median(seconds) for seconds in kept]
    for side, seconds, median in zip((OURS, BARE), kept, medians, strict=True):
        low, *_between, high = (1000 * each for each in statistics.quantiles(seconds, n=10))
        told = f"median {1000 * median:.1f} ms a step ({low:.1f} to {high:.1f}, n={len(seconds)})"
        print(f"{clock}, {side}: {told}")
    pairs = statistics.median(mine / theirs - 1 for mine, theirs in zip(*kept, strict=False))
    print(f"{clock}, overhead: {medians[0] / medians[1] - 1:+.1%} by medians, {pairs:+.1%} by pairs of steps")


def _run(samples: Path, folder: Path, steps: int) -> dict[str, Any]:
    run = memory.run_of(CASE, samples, folder)
    rows = Path(run["dataset"]["path"])
    lines = rows.read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "held-out.jsonl").write_text("".join(lines[:HELD_OUT]), encoding="utf-8")
    rows.write_text("".join(lines[HELD_OUT:]), encoding="utf-8")
    run["dataset"]["validationPath"] = str(folder / "held-out.jsonl")
    run["training"]["maxSteps"] = steps
    run["checkpoints"] |= {"everySteps": None, "everySeconds": None}
    return run


def _ours(run: dict[str, Any], folder: Path, turns: Turns) -> None:
    """Carry out the recipe as it stands, with one more callback."""
    from finetune_trainer.__main__ import fine_tune
    from finetune_trainer.process.attempt import carry_out
    from finetune_trainer.training import loop
    from finetune_trainer.training.stop import StopRequest

    StopRequest.listen = lambda _self: None  # signals are for main threads; both sides shall be in one of their own
    train = loop.train

    def taking_turns(trainer: Any, *more: Any) -> None:
        trainer.add_callback(turns)
        train(trainer, *more)

    loop.train = taking_turns
    file = folder / "run.json"
    file.write_text(json.dumps(run), encoding="utf-8")
    if code := carry_out(file, fine_tune):
        sys.exit(f"the run failed with {code}")


def _bare(run: dict[str, Any], turns: Turns) -> None:
    """Train the way TRL's documentation does."""
    rows = [json.loads(line) for line in Path(run["dataset"]["path"]).read_text(encoding="utf-8").splitlines()]
    training, model = run["training"], run["model"]["path"]
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype="float32"),
        args=SFTConfig(
            output_dir=run["checkpoints"]["directory"] + "-bare",
            max_steps=training["maxSteps"],
            learning_rate=training["learningRate"],
            per_device_train_batch_size=training["microBatchSize"],
            max_length=training["sequenceLength"],
            seed=training["seed"],
            assistant_only_loss=True,
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list([{"messages": row["messages"]} for row in rows]),
        processing_class=AutoTokenizer.from_pretrained(model),
        peft_config=LoraConfig(
            r=8,
            lora_alpha=16,
            target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
            task_type="CAUSAL_LM",
        ),
        callbacks=[turns],
    )
    trainer.train()


if __name__ == "__main__":
    main()
