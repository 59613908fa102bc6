# ruff: noqa: INP001
"""What the planner says of the techniques at the size of a real model, which no machine here can train.

Small models show that a technique learns; what it saves shows where weights outweigh the libraries that train them.

Not here: figures of runs (`running.py`), how good the planner's are (`tests/fake`, `bench/planning`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.planning import catalog
from finetune_operator.planning.plan import Plan, plan
from finetune_operator.planning.profiles import Profiles

MODEL = "microsoft/Phi-3-mini-4k-instruct"
STEPS, BATCH, LENGTH = 1000, 8, 2048
PRECISION = {"precision": "bf16"}
GIB = 2**30
SEVERAL = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """A technique at that size.

    Memory is of each device with one row at a time and checkpointing, the least without offloading; `smallest`
    is the device with least memory that holds it. The cost is that of all steps where they are cheapest, in USD.
    """

    technique: str
    how: str
    trained: int
    total: int
    gib: float
    smallest: str
    usd: float
    cheapest: str


WAYS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("full", "every weight, one device", {"technique": {"method": "full"}}),
    ("lora", "lora", {"technique": {"method": "lora"}}),
    ("qlora", "qlora, nf4", {"technique": {"method": "qlora"}}),
    ("peft", "ia3", {"technique": {"method": "peft", "peft": {"type": "ia3"}}}),
    ("deepspeed", f"every weight, ZeRO stage 1 on {SEVERAL}", {"technique": {"method": "full"}, "zero": 1}),
    ("zero", f"every weight, ZeRO stage 3 on {SEVERAL}", {"technique": {"method": "full"}, "zero": 3}),
    ("dora", "dora", {"technique": {"method": "dora"}}),
    ("dora", f"dora, ZeRO stage 3 on {SEVERAL}", {"technique": {"method": "dora"}, "zero": 3}),
)


def sized() -> tuple[Sized, ...]:
    """Plan every technique."""
    return tuple(_sized(*way) for way in WAYS)


def _sized(technique: str, how: str, words: dict[str, Any]) -> Sized:
    least = _plans(words, {"microBatchSize": 1, "gradientCheckpointing": True})
    key, tight = min(least.items(), key=lambda one: (one[1].machine.device_bytes, one[0]))
    costs = {name: cost for name, one in _plans(words, {}).items() if (cost := _cost(one)) is not None}
    cheapest = min(costs, key=lambda name: costs[name])
    return Sized(
        technique=technique,
        how=how,
        trained=tight.trainable_parameters,
        total=tight.shape.parameters,
        gib=tight.memory.peak / GIB,
        smallest=key,
        usd=costs[cheapest],
        cheapest=cheapest,
    )


def _plans(words: dict[str, Any], training: dict[str, Any]) -> dict[str, Plan]:
    """Plan for each accelerator that holds the job."""
    answers = {one.key: plan(_job(words, one.key, training), Profiles()) for one in catalog.accelerators()}
    return {key: answer for key, answer in answers.items() if isinstance(answer, Plan) and not answer.machine.is_cpu}


def _cost(answer: Plan) -> float | None:
    low, high = answer.duration.cost_low, answer.duration.cost_high
    return None if low is None or high is None else (low + high) / 2


def _job(words: dict[str, Any], accelerator: str, training: dict[str, Any]) -> FineTuneJobSpec:
    shared: dict[str, Any] = {
        "hardware": {"accelerator": accelerator, "devicesPerNode": 1},
        "distribution": {"strategy": "none"},
    }
    if "zero" in words:
        offload = {"optimizer": "none", "parameters": "none"}
        shared = {
            "hardware": {"accelerator": accelerator, "devicesPerNode": SEVERAL},
            "distribution": {"strategy": "deepspeed", "zeroStage": words["zero"], "offload": offload},
        }
    return FineTuneJobSpec.model_validate(
        {
            "model": {"name": MODEL},
            "task": "chat",
            "dataset": {"source": {"claim": {"name": "data", "path": "chat.jsonl"}}},
            "technique": words["technique"],
            "training": {"maxSteps": STEPS, "batchSize": BATCH, "sequenceLength": LENGTH, **PRECISION, **training},
            **shared,
        }
    )
