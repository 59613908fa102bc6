"""Held-out rows are measured by a mean over all that is supervised, whatever their batches and processes are."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from finetune_trainer.contract import DistributionSettings, to_json
from finetune_trainer.objectives import measures
from torch.nn.functional import cross_entropy, logsigmoid
from untrained import stirred, trainer_of

ROOT = Path(__file__).parents[3]
MEASURED_SECONDS = 120
"""Longest that two processes may take to import the libraries and measure a few rows, on two shared cores."""

ROWS = {"rows": 55, "training__micro_batch_size": 3}
METRICS = {"translation": ("chrf", "perplexity"), "causal-lm": ("perplexity", "accuracy")}
TARGETS = {"labels", "start_positions", "end_positions"}


def measured(trainer):
    """Metrics by the names of the API, not rounded."""
    found = trainer.evaluate()
    return {name: found[f"eval_{name}"] for name in measures.ORDER if f"eval_{name}" in found}


def of_the_row(outputs, row):
    return [(outputs.logits, row["labels"])]


def of_its_tokens(outputs, row):
    return [(outputs.logits[0], row["labels"][0])]


def of_the_next_tokens(outputs, row):
    return [(outputs.logits[0, :-1], row["labels"][0, 1:])]


def of_both_ends(outputs, row):
    return [(outputs.start_logits, row["start_positions"]), (outputs.end_logits, row["end_positions"])]


SCORED = {
    "text-classification": of_the_row,
    "token-classification": of_its_tokens,
    "question-answering": of_both_ends,
    "translation": of_its_tokens,
    "chat": of_the_next_tokens,
    "causal-lm": of_the_next_tokens,
}
"""Which scores are to choose what, of a batch of one row."""


def by_hand(trainer, task):
    """The mean loss of everything that is supervised, each row read on its own."""
    total = count = 0
    for number in range(len(trainer.eval_dataset)):
        row = trainer.data_collator([trainer.eval_dataset[number]])
        with torch.no_grad():
            outputs = trainer.model(**{name: value for name, value in row.items() if name not in TARGETS})
        for scores, wanted in SCORED[task](outputs, row):
            total += cross_entropy(scores, wanted, reduction="sum").item()
            count += (wanted != -100).sum().item()
    return total / count


def pairs_by_hand(trainer):
    """The metrics of a preference, each pair read on its own, by the paper's formula."""
    margins = []
    for number in range(len(trainer.eval_dataset)):
        pair = trainer.data_collator([trainer.eval_dataset[number]])
        learnt = likelihoods(trainer.model, pair)
        with trainer.model.disable_adapter():
            better, worse = trainer.beta * (learnt - likelihoods(trainer.model, pair))
        margins.append(better - worse)
    margins = torch.stack(margins)
    return {
        "loss": -logsigmoid(margins).mean().item(),
        "reward-accuracy": (margins > 0).double().mean().item(),
        "reward-margin": margins.mean().item(),
    }


def likelihoods(model, pair):
    """How likely the two answers of a pair are, as logarithms."""
    with torch.no_grad():
        logits = model(input_ids=pair["input_ids"], attention_mask=pair["attention_mask"]).logits
    chosen = logits[:, :-1].log_softmax(-1).gather(-1, pair["input_ids"][:, 1:, None])[..., 0]
    return (chosen * pair["completion_mask"][:, 1:]).sum(-1)


@pytest.mark.parametrize("task", [*SCORED, "preference"])
def test_metrics_do_not_depend_on_how_many_rows_a_batch_has(a_small_run, task):
    trainer = stirred(trainer_of(a_small_run(task=task, evaluation__metrics=METRICS.get(task, ()), **ROWS)))
    found = []
    for size in (1, 3, 8):
        trainer.args.per_device_eval_batch_size = size
        found.append(measured(trainer))
    assert found == [pytest.approx(found[0], rel=1e-5, abs=1e-5)] * 3
    want = {"loss": by_hand(trainer, task)} if task in SCORED else pairs_by_hand(trainer)
    assert {name: found[0][name] for name in want} == pytest.approx(want, abs=1e-5)


ONE_OF_TWO = """
import json, os, sys
from pathlib import Path

from finetune_trainer.contract import TrainerRun, from_json
from finetune_trainer.distributed.seat import Seat
from finetune_trainer.distributed.world import World
from finetune_trainer.objectives import registry
from finetune_trainer.process import environment
from untrained import stirred, trainer_of

environment.hide({*registry.OPTIONAL_LIBRARIES} - {*registry.PREFERENCE.libraries})
rank, port, *files = sys.argv[1:]
World(Seat(rank=int(rank), size=2, local_rank=int(rank), local_size=2, port=int(port))).join(print)
for file in files:
    found = stirred(trainer_of(from_json(TrainerRun, Path(file).read_text()))).evaluate()
    print("measured", json.dumps(found), flush=True)
os._exit(0)  # not waiting for the thread that listens to the other process
"""


def test_two_processes_measure_what_one_does(a_small_run, tmp_path):
    files, want = [], []
    for task in ("text-classification", "token-classification", "question-answering", "translation", "preference"):
        run = a_small_run(task=task, evaluation__metrics=METRICS.get(task, ()), **ROWS)
        rows = Path(run.dataset.path).rename(tmp_path / f"{task}.jsonl")
        run = replace(run, dataset=replace(run.dataset, path=str(rows)))
        trainer = stirred(trainer_of(run))
        assert len(trainer.eval_dataset) % 6 not in {0, 3}  # so that rows fill up the last batch of one process
        want.append(measured(trainer))
        shared = replace(run, distribution=DistributionSettings(strategy="ddp", processes_per_node=2))
        files.append(tmp_path / f"{task}.json")
        files[-1].write_text(to_json(shared), encoding="utf-8")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    both = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", ONE_OF_TWO, rank, port, *map(str, files)],
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'trainer'}:{ROOT / 'tests/support'}", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    for process in both:
        said = process.communicate(timeout=MEASURED_SECONDS)[0].splitlines()
        raw = [json.loads(line.removeprefix("measured ")) for line in said if line.startswith("measured ")]
        found = [{name: each[f"eval_{name}"] for name in one} for each, one in zip(raw, want, strict=True)]
        assert found == [pytest.approx(one, rel=1e-5, abs=1e-5) for one in want]
