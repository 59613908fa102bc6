# ruff: noqa: INP001, T201
"""Plan published runs again and compare: the predicted memory of each row of a table with the measured one.

    python bench/planning/published.py tests/data/published_memory.csv

The table says what was trained (model, method, rank, targets, micro-batch, length, devices); `SOFTWARE` says how each
source's software computed, from its code and its documentation of that time. Nothing is fitted to a row or a source.
"""

from __future__ import annotations

import csv
import pathlib
import statistics
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.planning import catalog
from finetune_operator.planning.memory.workload import Attention, Loading, Loss, Quantizer, Stack
from finetune_operator.planning.plan import Plan, plan
from finetune_operator.planning.profiles import Profiles

GIB = 2**30
DEVICE_SHARE = 0.92

MODELS = {
    "StableLM-3B": "stablelm-base-alpha-3b",
    "Phi-3-mini": "phi-3-mini",
}
"""Names of the table that the catalog has under another one; the others differ in letter case only."""

DEVICES = {"A100-80G": "nvidia-a100-80gb", "A100-40G": "nvidia-a100-40gb", "L40S": "nvidia-l40s", "A10G": "nvidia-a10g"}

BOUNDS = (0.10, 0.15)
"""Relative errors within which predictions are counted."""

QUANTIZERS = {
    "nf4": Quantizer.NF4,
    "nf4-dq": Quantizer.NF4_DOUBLE,
    "int8": Quantizer.INT8,
    "gptq-int4": Quantizer.GPTQ,
}

DEEPSPEED = {"full": 3, "qlora": 2}
"""ZeRO stages of Qwen's fine-tuning scripts, which use DeepSpeed for these methods even on one device."""

BEFORE_445 = Stack(loss=Loss.SHIFTED)
"""transformers before 4.45 made the shifted logits contiguous, in fp32."""

LITGPT = Stack(loss=Loss.FULL, autocast=False, adapter_bytes=2, fused_activation=True, keeps_inputs=True)
"""All in bf16, its own LoRA, torch's GELU, bitsandbytes 0.41; models are loaded whole before FSDP divides them."""

SOFTWARE: Mapping[str, Stack] = {
    "qwen": replace(BEFORE_445, adapter_bytes=2),
    "peftbench": Stack(loss=Loss.FULL),
    "litgpt": LITGPT,
    "llamafactory": BEFORE_445,
    "unsloth": Stack(loss=Loss.FUSED),
    "torchtune": Stack(loss=Loss.FULL, autocast=False, adapter_bytes=2, fused_activation=True),
    "fsdp_qlora": replace(BEFORE_445, autocast=False, adapter_bytes=2),
}

LOADS_WHOLE = frozenset({"litgpt"})
"""Sources whose devices each load the whole model before FSDP divides it."""

ACCUMULATION = {"qwen": 8, "litgpt": 16}
"""Micro-batches a step, where the source's scripts have more than one."""

PEFT_TYPES = {
    "boft": "boft",
    "ia3": "ia3",
    "loha": "loha",
    "lokr": "lokr",
    "oft": "oft",
    "shira": "shira",
    "vera": "vera",
    "waveft": "waveft",
    "fourierft": "fourierft",
    "adalora": "adalora",
    "randlora": "randlora",
    "vblora": "vblora",
    "hra": "hra",
    "bone": "miss",
    "miss": "miss",
    "c3a": "c3a",
    "road": "road",
    "delora": "delora",
    "gralora": "gralora",
    "ln_tuning": "ln-tuning",
    "prompt_tuning": "prompt-tuning",
    "prefixtuning": "prefix-tuning",
    "prefix_tuning": "prefix-tuning",
    "ptuning": "p-tuning",
    "trainable_tokens": "trainable-tokens",
}
"""Methods of PEFT's own benchmark, by its names."""

TRAINS_WHOLE_MATRICES = ("full", "osf")
VIRTUAL_TOKENS = ("prompt-tuning", "prefix-tuning", "p-tuning")
PEFT_TARGETS = ("q_proj", "v_proj")
"""PEFT's default targets in a Llama."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One published run, and what is predicted for it. Bytes for each device."""

    row: Mapping[str, str]
    predicted: int
    measured: float | None
    limit: float
    terms: Mapping[str, int]

    @property
    def error(self) -> float | None:
        """Relative error of the prediction."""
        return None if self.measured is None else self.predicted / self.measured - 1

    @property
    def fits(self) -> bool:
        """Whether a plan would let it run."""
        return self.predicted <= self.limit

    @property
    def name(self) -> str:
        """What was run, in a line."""
        row = self.row
        words = (row["source"], row["model"], row["method"], row["quant"], f"{row['micro_batch']}x{row['seq']}")
        return " ".join(word for word in (*words, row["gpu"], f"x{row['gpus']}", row["parallel"]) if word)


def points(table: pathlib.Path) -> Iterator[Point]:
    """Plan every row of a table for which there is a model and, unless it only says whether it fits, a figure."""
    with table.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if "DO NOT USE" not in row["note"] and catalog.find(_model(row)) is not None:
                yield point(row)


def point(row: Mapping[str, str]) -> Point:
    """Plan one row."""
    spec = FineTuneJobSpec.model_validate(job(row))
    answer = plan(spec, Profiles(), stack=stack(row))
    estimate = answer.memory if isinstance(answer, Plan) else answer.least
    if estimate is None:
        raise ValueError(f"{row}: {answer}")
    nominal = _nominal(row)
    return Point(
        row=row,
        predicted=estimate.peak,
        measured=float(row["gb_per_gpu"]) * 1e9 if row["gb_per_gpu"] else None,
        limit=DEVICE_SHARE * nominal,
        terms=dict(estimate.terms),
    )


def job(row: Mapping[str, str]) -> dict[str, Any]:
    """Write the row as a job's spec, every choice fixed."""
    micro, devices = int(row["micro_batch"] or 1), int(row["gpus"] or 1)
    length = int(row["seq"] or 512)
    return {
        "model": {"name": _model(row), "source": {"hub": {}}},
        "task": "causal-lm",
        "dataset": {"source": {"hub": {"name": "published"}}},
        "technique": _technique(row),
        "distribution": _distribution(row),
        "hardware": {"accelerator": _device(row) or "nvidia-a100-80gb", "devicesPerNode": devices},
        "training": {
            "microBatchSize": micro,
            "batchSize": micro * devices * ACCUMULATION.get(_family(row), 1),
            "sequenceLength": length,
            "gradientCheckpointing": row["gradient_checkpointing"] == "yes",
            "precision": "bf16",
        },
    }


def stack(row: Mapping[str, str]) -> Stack:
    """Say how the row's software computed."""
    found = replace(SOFTWARE.get(_family(row), Stack(loss=Loss.FULL)), shards_quantized=True)
    if _family(row) == "qwen" and _method(row) in DEEPSPEED:
        found = replace(found, loss=Loss.HALF)  # no autocast under DeepSpeed, and the model does not lift its logits
    if row["parallel"] == "fsdp" and _family(row) in LOADS_WHOLE:
        found = replace(found, loading=Loading.WHOLE)
    if "eager" in row["note"]:
        found = replace(found, attention=Attention.EAGER)
    return replace(found, quantizer=QUANTIZERS[row["quant"]]) if row["quant"] else found


def score(found: list[Point]) -> dict[str, float]:
    """Return how well a list of points was predicted."""
    errors = [abs(one.error) for one in found if one.error is not None]
    over = [one for one in found if one.row["result"] == "oom"]
    return {
        "rows": len(errors),
        "median": statistics.median(errors),
        **{f"within {bound:.0%}": sum(error <= bound for error in errors) / len(errors) for bound in BOUNDS},
        "out of memory": len(over),
        "called fitting": sum(one.fits for one in over),
    }


def _family(row: Mapping[str, str]) -> str:
    return row["source"].split("-")[0]


def _method(row: Mapping[str, str]) -> str:
    word = row["method"].split("-")[0]
    if word in TRAINS_WHOLE_MATRICES:
        return "full"
    return "qlora" if row["quant"] else "lora"


def _model(row: Mapping[str, str]) -> str:
    return MODELS.get(row["model"], row["model"])


def _device(row: Mapping[str, str]) -> str | None:
    """Return the catalog's key for the row's device, None where it is only a size."""
    found = catalog.find_accelerator(DEVICES.get(row["gpu"], row["gpu"])) or catalog.find_accelerator(
        f"nvidia-rtx-{row['gpu']}"
    )
    return found.key if found else None


def _nominal(row: Mapping[str, str]) -> float:
    """Return the memory of the row's device, by the number in its name where the catalog does not have it."""
    device = catalog.find_accelerator(_device(row) or "")
    if device is not None:
        return device.memory_bytes
    digits = "".join(letter for letter in row["gpu"] if letter.isdigit())
    return float(digits or 80) * GIB


def _technique(row: Mapping[str, str]) -> dict[str, Any]:
    kind = row["method"].split("-")[0]
    if _method(row) == "full":
        return {"method": "full"}
    if kind in PEFT_TYPES:
        return {"method": "peft", "peft": {"type": PEFT_TYPES[kind], "options": _options(row, PEFT_TYPES[kind])}}
    rank = next((int(word[1:]) for word in row["method"].split("-") if word[:1] == "r" and word[1:].isdigit()), None)
    lora: dict[str, Any] = {"rank": rank or int(row["rank"] or 32), "targetModules": _targets(row)}
    if "emb" in row["method"]:
        lora["modulesToSave"] = ["embed_tokens", "lm_head"]
    method = "dora" if "dora" in row["method"] else "lora"
    if row["quant"]:
        method = "q" + method
    return {"method": method, "lora": lora}


def _options(row: Mapping[str, str], kind: str) -> dict[str, Any]:
    if kind == "trainable-tokens":
        return {"token_indices": "0"}
    number = next((word.lstrip("r") for word in row["method"].split("-")[1:] if word.lstrip("r").isdigit()), None)
    if number is None:
        return {}
    return {"num_virtual_tokens" if kind in VIRTUAL_TOKENS else "r": int(number)}


def _targets(row: Mapping[str, str]) -> list[str]:
    if row["source"] == "peftbench":
        return list(PEFT_TARGETS)
    if row["targets"] in {"", "all"}:
        return ["all-linear"]
    model = catalog.find(_model(row))
    known = {linear.name for linear in model.linears} if model else set()
    wanted = [*PEFT_TARGETS, "query_key_value"] if row["targets"] == "q,v" else row["targets"].split(",")
    return [name for name in wanted if name in known] or ["all-linear"]


def _distribution(row: Mapping[str, str]) -> dict[str, Any]:
    shared = _strategy(row)
    kept = {"optimizer": "none", "parameters": "none"}
    return shared | ({"offload": kept} if shared["strategy"] in {"deepspeed", "fsdp"} else {})


def _strategy(row: Mapping[str, str]) -> dict[str, Any]:
    if row["parallel"].startswith("zero"):
        return {"strategy": "deepspeed", "zeroStage": int(row["parallel"][-1])}
    if row["parallel"] in {"fsdp", "ddp"}:
        return {"strategy": row["parallel"]}
    if _family(row) == "qwen" and _method(row) in DEEPSPEED:
        return {"strategy": "deepspeed", "zeroStage": DEEPSPEED[_method(row)]}
    return {"strategy": "none"} if int(row["gpus"] or 1) == 1 else {"strategy": "ddp"}


def main() -> None:
    """Print every row and the score, over all and by source."""
    found = list(points(pathlib.Path(sys.argv[1])))
    for one in found:
        measured = "" if one.measured is None else f"{one.measured / 1e9:7.2f} measured {one.error:+7.1%}"
        print(f"{one.name:75} {one.predicted / 1e9:7.2f} GB {measured} {one.row['result']}")
    for source in (*dict.fromkeys(one.row["source"] for one in found), None):
        chosen = [one for one in found if source in {None, one.row["source"]}]
        if any(one.error is not None for one in chosen):
            print(f"{source or 'all':14}", ", ".join(f"{name} {value:.3g}" for name, value in score(chosen).items()))


if __name__ == "__main__":
    main()
