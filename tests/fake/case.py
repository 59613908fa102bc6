"""One fine-tuning step and what was counted of it, in memory and as a row of a CSV file. Needs no torch.

Not here: counting (`measure.py`).
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ALWAYS_EAGER = frozenset({"gemma-2-9b", "bloom-560m", "gpt-j-6b", "mpt-7b", "deberta-v3-base", "megatron-bert-345m"})
"""Models whose scores are capped, which transformers' sdpa refuses, or whose attention is written out."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fine-tuning step.

    `targets`: `all` linear layers, `qv`, or `all+embeddings` (which trains embedding and head whole). `attention`:
    `sdpa` (rows without padding: flash), `sdpa-masked` (with padding), or `eager`. `loss`: `full` logits as in
    transformers, or TRL's `fused` head. `precision`: `bf16`, `bf16-autocast` (bf16 weights under autocast, as
    transformers' `bf16=True` does with a model loaded in bf16), `mixed` (fp32 weights under autocast) or `fp32`.
    `accumulation`: micro-steps per step; from the second on, gradients are there all the time. `layers`: fewer than
    published, to look at a part; rows of a file do not have it.
    """

    model: str
    method: str = "lora"
    rank: int = 8
    targets: str = "all"
    adapter_dtype: str = "fp32"
    quant: str = ""
    checkpointing: bool = False
    micro_batch: int = 1
    seq: int = 512
    attention: str = "sdpa"
    loss: str = "full"
    precision: str = "bf16"
    optimizer: str = "adamw"
    accumulation: int = 1
    layers: int = 0

    @property
    def kernel(self) -> str:
        """How transformers is asked to compute attention."""
        return "eager" if self.model in ALWAYS_EAGER else self.attention.removesuffix("-masked")

    @property
    def autocasts(self) -> bool:
        """Whether the step runs under autocast."""
        return self.precision in {"bf16-autocast", "mixed"}


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes at the peak by what they are, and the peak of each phase."""

    peak_bytes: int
    params_bytes: int
    activation_bytes_at_peak: int
    grad_bytes_at_peak: int
    optimizer_bytes_at_peak: int
    backward_temp_bytes_at_peak: int
    peak_forward: int
    peak_backward: int
    peak_optim: int
    trainable: int
    total_parameters: int


SETTINGS = [field.name for field in dataclasses.fields(Case) if field.name != "layers"]
COLUMNS = [*SETTINGS, *(field.name for field in dataclasses.fields(Measured)), "seconds"]
YES_OR_NO = {True: "yes", False: "no"}


def rows(path: Path) -> list[tuple[Case, Measured]]:
    """Read a file."""
    with path.open(encoding="utf-8", newline="") as file:
        return [(_made(Case, row), _made(Measured, row)) for row in csv.DictReader(file)]


def parse(lines: Iterable[str]) -> Iterator[Case]:
    """Read cases, one a line."""
    for line in lines:
        if line.strip():
            yield _made(Case, dict(word.split("=", 1) for word in line.split()))


def written(case: Case) -> dict[str, Any]:
    """Return the case as a row has it."""
    settings = {name: getattr(case, name) for name in SETTINGS}
    return settings | {
        "checkpointing": YES_OR_NO[case.checkpointing],
        "attention": case.attention if case.kernel != "eager" else "eager",
    }


def _made(kind: Any, row: dict[str, str]) -> Any:
    read = {"int": int, "bool": lambda text: text == "yes", "str": str}
    fields = {field.name: field.type for field in dataclasses.fields(kind)}
    return kind(**{name: read[fields[name]](value) for name, value in row.items() if name in fields})
