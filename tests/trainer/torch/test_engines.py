"""Which engine runs: what is asked of the library, what is refused, and that another one running is found out."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from finetune_trainer.contract import DistributionSettings, FailureReason
from finetune_trainer.distributed import engines
from finetune_trainer.process.failures import TrainerFailure
from transformers import TrainingArguments

ANSWERED_SECONDS = 120
"""Longest that two processes may take to import the libraries and look at small models, on two shared cores."""

FSDP = DistributionSettings(strategy="fsdp", processes_per_node=2)


@pytest.fixture
def on_a_gpu(monkeypatch):
    """Choose the arguments as where a GPU is, and only these: the library is to see that there is none."""

    def choose(run):
        with monkeypatch.context() as patch:
            patch.setattr(torch.cuda, "is_available", lambda: True)
            return engines.arguments(run)

    return choose


@pytest.mark.parametrize("offload", [False, True])
def test_the_library_takes_fsdp_in_its_second_version_with_everything_sharded(a_run, on_a_gpu, tmp_path, offload):
    run = replace(a_run(method="full"), distribution=replace(FSDP, offload_parameters=offload))
    made = TrainingArguments(output_dir=str(tmp_path), **on_a_gpu(run)).fsdp_plugin_args
    assert made.pop("cpu_offload", False) is offload
    assert made == {
        "fsdp_version": 2,
        "reshard_after_forward": True,
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "state_dict_type": "SHARDED_STATE_DICT",
        "cpu_ram_efficient_loading": False,
    }


REFUSED = {
    "one process": ("full", replace(FSDP, processes_per_node=1), "this is one; take none"),
    "quantized weights": ("qlora", FSDP, "cannot split quantized weights; set ddp, or method: lora"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_fsdp_refuses_what_it_cannot_divide(a_run, on_a_gpu, case):
    method, distribution, words = case
    with pytest.raises(TrainerFailure, match=words) as refused:
        on_a_gpu(replace(a_run(method=method), distribution=distribution))
    assert refused.value.reason is FailureReason.INVALID_RUN


def test_fsdp_is_refused_on_a_cpu(a_run):
    with pytest.raises(TrainerFailure, match="fsdp needs GPUs; set ddp or deepspeed"):
        engines.arguments(replace(a_run(method="full"), distribution=FSDP))


TWO_PROCESSES = """
import copy, json, sys
from types import SimpleNamespace as Some

import torch
from finetune_trainer.contract import DistributionSettings
from finetune_trainer.distributed import engines, gathering
from finetune_trainer.distributed.seat import Seat
from finetune_trainer.distributed.world import World
from finetune_trainer.process.failures import TrainerFailure
from torch import nn
from torch.distributed.fsdp import fully_shard

rank = int(sys.argv[1])
world = World(Seat(rank=rank, size=2, local_rank=rank, local_size=2, port=int(sys.argv[2])))
world.join(print)
engines._use_no_compiled_operators(on_cpu=True)
import deepspeed

torch.manual_seed(0)
plain = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2))
rows = torch.randn(4, 6)


def asked(strategy, stage=0, processes=2):
    return Some(distribution=DistributionSettings(strategy=strategy, zero_stage=stage, processes_per_node=processes))


def checked(model, run):
    try:
        engines.check(Some(model_wrapped=model), run)
    except TrainerFailure as failure:
        return [failure.reason.value, failure.message]
    return None


def learnt(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        model(rows).square().mean().backward()
        optimizer.step()
    return model


copies = nn.parallel.DistributedDataParallel(copy.deepcopy(plain))
zero, *_ = deepspeed.initialize(
    model=copy.deepcopy(plain),
    optimizer=torch.optim.SGD(plain.parameters(), lr=0.5),
    config={"train_micro_batch_size_per_gpu": 4, "zero_optimization": {"stage": 0}},
    dist_init_required=False,
)
parts = copy.deepcopy(plain)
for layer in (parts[0], parts[2], parts):
    fully_shard(layer)
said = {
    "ddp": checked(copies, asked("ddp")),
    "plain for ddp": checked(plain, asked("ddp")),
    "two for four": checked(copies, asked("ddp", processes=4)),
    "zero 0": checked(zero, asked("deepspeed")),
    "zero 0 for zero 2": checked(zero, asked("deepspeed", stage=2)),
    "ddp for zero 2": checked(copies, asked("deepspeed", stage=2)),
    "fsdp": checked(parts, asked("fsdp")),
    "ddp for fsdp": checked(copies, asked("fsdp")),
}
trainer = Some(model=learnt(parts), model_wrapped=parts, accelerator=Some(free_memory=lambda: None))
held = sum(each.to_local().numel() for each in parts.parameters())
gathering.gather(trainer, asked("fsdp"), world=world, rebuild=lambda: copy.deepcopy(plain))
if rank == 0:
    want = learnt(copy.deepcopy(plain)).state_dict()
    found = trainer.model.state_dict()
    said["gathered"] = max((found[name] - want[name]).abs().max().item() for name in want)
    said["plain again"] = type(trainer.model_wrapped).__name__
    said["held"] = held / sum(each.numel() for each in plain.parameters())
    print("said", json.dumps(said))
world.wait()
"""


@pytest.fixture(scope="module")
def said():
    """What the first of two processes says of models on engines."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "trainer"), "OMP_NUM_THREADS": "1"}
    first, second = (
        subprocess.Popen(
            [sys.executable, "-c", TWO_PROCESSES, rank, port], env=environment, stdout=subprocess.PIPE, text=True
        )
        for rank in ("0", "1")
    )
    lines = first.communicate(timeout=ANSWERED_SECONDS)[0].splitlines()
    second.communicate(timeout=ANSWERED_SECONDS)
    (answer,) = [line.removeprefix("said ") for line in lines if line.startswith("said ")]
    return json.loads(answer)


@pytest.mark.parametrize("engine", ["ddp", "zero 0", "fsdp"])
def test_the_engine_that_was_asked_for_is_found_running(said, engine):
    assert said[engine] is None


ANOTHER = {
    "plain for ddp": "asked for ddp on 2 processes, but Sequential on 2 processes would train",
    "two for four": "asked for ddp on 4 processes, but DistributedDataParallel on 2 processes would train",
    "zero 0 for zero 2": "asked for ZeRO 2 deepspeed on 2 processes, but ZeRO 0 DeepSpeedEngine on 2 processes",
    "ddp for zero 2": "asked for ZeRO 2 deepspeed on 2 processes, but DistributedDataParallel on 2 processes",
    "ddp for fsdp": "asked for fsdp on 2 processes, but DistributedDataParallel on 2 processes would train",
}


@pytest.mark.parametrize(("engine", "words"), ANOTHER.items(), ids=ANOTHER)
def test_another_engine_than_asked_for_is_a_defect_of_the_trainer(said, engine, words):
    reason, message = said[engine]
    assert reason == FailureReason.TRAINER_ERROR
    assert message.startswith(words)


def test_what_fsdp_trained_in_parts_is_whole_again_and_the_same(said):
    assert said["held"] == 0.5
    assert said["gathered"] < 1e-6
    assert said["plain again"] == "Sequential"
