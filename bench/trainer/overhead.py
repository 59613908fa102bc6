# ruff: noqa: INP001, T201, E402
"""Measure what the trainer adds to a step of training, against a bare TRL script on the same job.

    python bench/trainer/overhead.py SAMPLES_DIR [BLOCKS]

Both train in one process on the same rows with the same optimizer and as many threads, and take turns of a block of
steps each, so that both meet the same machine. A step lasts from its begin to the begin of the next one: callbacks,
logging and loading of rows are in it, waiting for the turn is not, nor is the first step of a turn, whose caches are
the other side's. Each block of ours is compared with the mean of the two bare ones beside it, which takes out what
drifts; the overhead is the median of these ratios, told with the middle half of them and an interval that holds it 19
times out of 20 (bootstrap). Seconds of the processor are told beside those of the clock, which others on a shared
machine disturb. Checkpoints and measurements are left out: the bare script makes none.

Afterwards our own part of a step is told from inside: seconds in our callbacks.
"""

import itertools
import json
import random
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
import torch
from datasets import Dataset
from memory import PHI3, Case
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

BLOCKS, STEPS, WARM_UP = 100, 6, 3
"""Blocks of ours, steps of a block, and how many blocks of each side only warm up."""

RESAMPLES = 2000

ALIKE = 0.02
"""How far the tokens of both sides may be apart: they draw their rows in orders of their own."""

HELD_OUT = 8
CASE = Case(model=PHI3, task="chat", method="lora", batch=8, length=128)
OURS, BARE = "finetune-trainer", "bare TRL"
TARGET = 0.05
CLOCKS = {"clock": time.perf_counter, "processor": time.process_time}


class Baton:
    """Whose turn it is."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.turn = BARE
        self.over: set[str] = set()
        self.made, self.both_made = threading.Event(), threading.Event()


class Turns(TrainerCallback):  # type: ignore[misc]
    """Lets one side train a block of steps while the other waits, and times all but a block's first."""

    def __init__(self, side: str, baton: Baton) -> None:
        self.side, self.baton = side, baton
        self.blocks: list[dict[str, float]] = []
        self.threads = 0
        self.tokens: dict[int, float] = {}
        self._steps = 0
        self._began: dict[str, float] = {}

    def on_step_begin(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        """Begin a step; after a block's last one hand over and wait for the turn."""
        if self._steps == STEPS:
            self.blocks.append({name: (clock() - self._began[name]) / (STEPS - 1) for name, clock in CLOCKS.items()})
            self._hand_over()
            self._steps = 0
        if self._steps == 0:
            self._await_turn()
            self.threads = torch.get_num_threads()
        if self._steps == 1:
            self._began = {name: clock() for name, clock in CLOCKS.items()}
        self._steps += 1

    def on_train_end(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Leave the rest to the other side, and keep TRL's own count of tokens by step."""
        self.tokens = {one["step"]: one["num_tokens"] for one in state.log_history if "num_tokens" in one}
        self.baton.over.add(self.side)
        self._hand_over()

    def _await_turn(self) -> None:
        with self.baton.changed:
            self.baton.changed.wait_for(lambda: self.baton.turn == self.side or self.baton.over)

    def _hand_over(self) -> None:
        with self.baton.changed:
            self.baton.turn = BARE if self.side == OURS else OURS
            self.baton.changed.notify_all()


def main() -> None:
    """Train on both sides and print the medians and their ratio."""
    samples, blocks = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else BLOCKS  # noqa: PLR2004
    with tempfile.TemporaryDirectory() as folder:
        baton, inside = Baton(), Inside()
        bare, ours = Turns(BARE, baton), Turns(OURS, baton)
        # one step begins after the last block that counts; the bare side has a block before and one after ours
        run = _run(samples, Path(folder), STEPS * (blocks + WARM_UP) + 1)
        first = threading.Thread(target=_ours, args=(run, Path(folder), ours, inside), daemon=True)
        first.start()
        # Made one after the other: chat templates and accelerate's state are shared by the process's threads.
        while not baton.made.wait(timeout=1):
            if not first.is_alive():
                sys.exit("our side ended before it trained: see above")
        second = threading.Thread(target=_bare(run, bare).train, daemon=True)
        baton.both_made.set()
        second.start()
        for side in (first, second):
            side.join()
    last = max(set(ours.tokens) & set(bare.tokens), default=None)
    if last is None:
        sys.exit("one of the sides did not train to the end: see above")
    seen = [side.tokens[last] for side in (ours, bare)]
    if ours.threads != bare.threads or abs(seen[0] / seen[1] - 1) > ALIKE:
        sys.exit(f"not the same job: {ours.threads} and {bare.threads} threads, {seen[0]:,} and {seen[1]:,} tokens")
    print(f"{ours.threads} threads; {seen[0]:,.0f} and {seen[1]:,.0f} tokens in {last} steps")
    for name in CLOCKS:
        _compare(name, *([block[name] for block in side.blocks[WARM_UP:]] for side in (ours, bare)))
    print(f"our callbacks: {1000 * inside.seconds / inside.steps:.2f} ms a step")
    print(f"target: below {TARGET:.0%}")


def _compare(clock: str, ours: list[float], bare: list[float]) -> None:
    for side, blocks in ((OURS, ours), (BARE, bare)):
        low, *_between, high = (1000 * each for each in statistics.quantiles(blocks, n=10))
        middle = 1000 * statistics.median(blocks)
        print(f"{clock}, {side}: median {middle:.1f} ms a step ({low:.1f} to {high:.1f}, {len(blocks)} blocks)")
    # the bare side goes first: its block n comes before ours, its block n + 1 after
    beside = [(before + after) / 2 for before, after in itertools.pairwise(bare)]
    ratios = [mine / theirs - 1 for mine, theirs in zip(ours, beside, strict=False)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    draw = random.Random(7)  # noqa: S311 - nothing secret
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    least, most = medians[RESAMPLES // 40], medians[-RESAMPLES // 40]
    print(
        f"{clock}, overhead: {middle:+.2%} (95 % of medians {least:+.2%} to {most:+.2%}; "
        f"half of {len(ratios)} pairs {low:+.1%} to {high:+.1%})"
    )


class Inside:
    """Times the callbacks that the trainer adds to the library's, while training goes on."""

    def __init__(self) -> None:
        self.seconds, self.steps = 0.0, 0

    def watch(self, trainer: Any) -> None:
        """Time each event of each of our callbacks."""
        for callback in trainer.callback_handler.callbacks:
            if type(callback).__module__.startswith("finetune_trainer."):
                for name in ("on_step_begin", "on_optimizer_step", "on_pre_optimizer_step", "on_step_end", "on_log"):
                    setattr(callback, name, self._timed(getattr(callback, name), counts=name == "on_step_end"))
        self.steps = 0

    def _timed(self, event: Any, *, counts: bool) -> Any:
        def timed(_args: Any, state: Any, *more: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return event(_args, state, *more, **named)
            finally:
                self.seconds += time.perf_counter() - start
                if counts:
                    self.steps = max(self.steps, state.global_step)

        return timed


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


def _ours(run: dict[str, Any], folder: Path, turns: Turns, inside: Inside) -> None:
    """Carry out the recipe as it stands, with one more callback."""
    from finetune_trainer.__main__ import fine_tune
    from finetune_trainer.process.attempt import carry_out
    from finetune_trainer.training import loop
    from finetune_trainer.training.stop import StopRequest

    StopRequest.listen = lambda _self: None  # signals are for main threads; both sides shall be in one of their own
    train = loop.train

    def taking_turns(trainer: Any, *more: Any) -> None:
        begin = loop._begin  # noqa: SLF001 - by then every callback is there

        def begin_watched(*given: Any) -> None:
            begin(*given)
            inside.watch(trainer)

        loop._begin = begin_watched  # noqa: SLF001
        trainer.add_callback(turns)
        turns.baton.made.set()
        turns.baton.both_made.wait()
        train(trainer, *more)

    loop.train = taking_turns
    file = folder / "run.json"
    file.write_text(json.dumps(run), encoding="utf-8")
    if code := carry_out(file, fine_tune):
        sys.exit(f"the run failed with {code}")


def _bare(run: dict[str, Any], turns: Turns) -> Any:
    """Make a trainer the way TRL's documentation does."""
    rows = [json.loads(line) for line in Path(run["dataset"]["path"]).read_text(encoding="utf-8").splitlines()]
    training, model = run["training"], run["model"]["path"]
    return SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype="float32"),
        args=SFTConfig(
            output_dir=run["checkpoints"]["directory"] + "-bare",
            max_steps=training["maxSteps"],
            learning_rate=training["learningRate"],
            per_device_train_batch_size=training["microBatchSize"],
            max_length=training["sequenceLength"],
            seed=training["seed"],
            optim=training["optimizer"],
            lr_scheduler_type=training["scheduler"],
            warmup_steps=training["warmupSteps"],
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


if __name__ == "__main__":
    main()
