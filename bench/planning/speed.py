# ruff: noqa: INP001, T201
"""Says how long plans take: the median of a dozen jobs, and of jobs that choose among all accelerators and methods.

    PYTHONPATH=operator:trainer python bench/planning/speed.py

Targets on two cores: 20 ms for a plan, 200 ms where everything is open. A refusal costs more, since all that would fit
in its place is planned as well.

Not here: whether plans are right (`published.py`).
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.technique import Goal
from finetune_operator.planning.plan import Plan, plan
from finetune_operator.planning.profiles import Profiles

REPEATS = 20
MILLI = 1000
Fields = dict[str, Any]

ROWS: Fields = {"source": {"hub": {"name": "rows"}}, "tokens": {"median": 300, "p95": 900, "max": 4000, "rows": 10_000}}


def job(model: str, task: str = "chat", **fields: Any) -> Fields:
    """Write a job."""
    return {"model": {"name": model}, "task": task, "dataset": ROWS, **fields}


def on(accelerator: str, **hardware: Any) -> Fields:
    """Write the hardware of a job."""
    return {"hardware": {"accelerator": accelerator, **hardware}}


FULL: Fields = {"technique": {"method": "full"}}
QLORA: Fields = {"technique": {"method": "qlora"}}

PLANS = {
    "a classifier on processors": job("all-MiniLM-L6-v2", "text-classification"),
    "a tiny Phi-3 on processors": job("tiny-phi3"),
    "LoRA of Phi-3-mini on an L4": job("phi-3-mini", **on("nvidia-l4")),
    "QLoRA of Phi-3-medium on a T4": job("phi-3-medium", **on("nvidia-t4"), **QLORA),
    "everything of Llama-3.1-8B on H100s": job("llama-3.1-8b", **on("nvidia-h100"), **FULL),
    "everything of Llama-3.1-70B on two nodes of H200s": job("llama-3.1-70b", **on("nvidia-h200", nodes=2), **FULL),
    "preferences of Mistral on an A100": job("mistral-7b", "preference", **on("nvidia-a100-80gb")),
    "IA3 of Gemma on an A10G": job(
        "gemma-2-2b", technique={"method": "peft", "peft": {"type": "ia3"}}, **on("nvidia-a10g")
    ),
    "quality of Qwen on an instance type": job(
        "qwen2.5-7b", technique={"goals": ["quality"]}, hardware={"instanceType": "p4d.24xlarge"}
    ),
    "ZeRO-3 of Phi-4 with offloading": job(
        "phi-4", **FULL, distribution={"strategy": "deepspeed", "zeroStage": 3}, **on("nvidia-a100-40gb")
    ),
    "a large batch of T5": job("t5-base", "translation", training={"batchSize": 4096}, **on("nvidia-v100-16gb")),
    "BERT on a 4090": job("bert-base", "token-classification", **on("nvidia-rtx-4090")),
}

OPEN = {
    "nothing asked": job("llama-3.1-8b", **on("auto")),
    **{f"goal {goal.value}": job("llama-3.1-8b", technique={"goals": [goal]}, **on("auto")) for goal in Goal},
    "a large model": job("llama-3.1-70b", **on("auto")),
    "a large batch": job("phi-3-mini", training={"batchSize": 65_536}, **on("auto")),
}

REFUSALS = {
    "everything of a 70B on one L4": job(
        "llama-3.1-70b", **FULL, distribution={"strategy": "none"}, **on("nvidia-l4", devicesPerNode=1)
    ),
    "a 70B on processors": job("llama-3.1-70b"),
    "rows of a million tokens": job("llama-3.1-8b", training={"sequenceLength": 1_048_576}, **on("auto"), **FULL),
}


def seconds(fields: Fields) -> tuple[float, bool]:
    """Return the median time of a plan, and whether it is one."""
    spec, profiles = FineTuneJobSpec.model_validate(fields), Profiles()
    answer = plan(spec, profiles)  # the first one reads the catalog
    times = []
    for _repeat in range(REPEATS):
        start = time.perf_counter()
        plan(spec, profiles)
        times.append(time.perf_counter() - start)
    return statistics.median(times), isinstance(answer, Plan)


def main() -> None:
    """Print the times of each kind."""
    for title, jobs in (("plans", PLANS), ("all accelerators and methods", OPEN), ("refusals", REFUSALS)):
        found = {name: seconds(fields) for name, fields in jobs.items()}
        print(f"{title}: median {MILLI * statistics.median(took for took, _planned in found.values()):.1f} ms")
        for name, (took, is_plan) in found.items():
            print(f"  {name:52} {MILLI * took:8.1f} ms {'' if is_plan else 'refused'}")


if __name__ == "__main__":
    main()
