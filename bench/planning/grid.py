# ruff: noqa: INP001, T201
"""Lists the fine-tuning steps whose memory is counted, one a line, the most asked for first.

    python bench/planning/grid.py | python tests/fake/measure.py tests/data/fake_memory.csv

Not here: how a step is counted (`tests/fake/measure.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

Settings = Mapping[str, object]

FIRST = ("phi-3-mini", "llama-3.2-3b", "llama-3.1-8b")
SMALL = ("llama-3.2-1b", "gemma-3-4b", "phi-2", "stablelm-base-alpha-3b", "phi-4-mini")
LARGE = ("mistral-7b", "qwen2.5-7b", "qwen3-8b", "gemma-2-9b", "falcon-7b", "phi-3-medium")

OTHER_DECODERS = ("gpt2-medium", "opt-1.3b", "bloom-560m", "gpt-j-6b", "mpt-7b", "starcoder2-3b", "command-r")
OTHER_ENCODERS = ("distilbert-base", "deberta-v3-base", "modernbert-base", "electra-base", "electra-small")
OTHER_PAIRS = ("mt5-base", "bart-base")
"""Encoders with a decoder."""

ALIKE = ("opt-350m", "gemma-2b", "stablelm-3b", "smollm3-3b", "seed-oss-36b", "like-granite", "like-ministral")
ALIKE_ENCODERS = (
    *("like-ernie", "megatron-bert-345m", "roberta-base", "xlm-roberta-base", "xlm-roberta-xl", "camembert-base"),
    *("data2vec-text-base", "like-roberta-prelayernorm"),
)
ALIKE_PAIRS = ("umt5-small", "mbart-large")
"""The layers of others under names of their own."""

FULL: Settings = {"method": "full"}
LORA: Settings = {"method": "lora"}
DORA: Settings = {"method": "dora"}
QLORA: Settings = {"method": "qlora", "quant": "nf4", "adapter_dtype": "bf16"}
"""Adapters in bf16, as TRL makes them on quantized weights."""
PREPARED: Settings = QLORA | {"quant": "nf4-prepared", "precision": "bf16-autocast"}
"""As PEFT's recipe has it, which this project's trainer leaves out."""

METHODS = (FULL, LORA, LORA | {"adapter_dtype": "bf16"}, LORA | {"targets": "qv"}, DORA, QLORA)

OTHER_METHODS = (
    "ia3", "vera", "adalora", "loha", "lokr", "oft", "boft", "fourierft", "hra", "miss", "randlora",
    "ln-tuning", "prompt-tuning", "p-tuning", "prefix-tuning",
)  # fmt: skip

CHECKPOINTING = ({"checkpointing": "yes"}, {"checkpointing": "no"})
HEADS = ({"loss": "fused"}, {"loss": "full"})
FUSED = ({"loss": "fused"},)
AUTOCAST = {"precision": "bf16-autocast"}
PADDED = {"attention": "sdpa-masked"}


def models(*names: str) -> list[Settings]:
    """Name models."""
    return [{"model": name} for name in names]


def sizes(*pairs: tuple[int, int]) -> list[Settings]:
    """Say how many rows of how many tokens."""
    return [{"micro_batch": rows, "seq": tokens} for rows, tokens in pairs]


def first() -> Iterator[Settings]:
    """Every method on three models."""
    yield from every(models(*FIRST), METHODS, CHECKPOINTING, sizes((1, 512), (1, 2048), (4, 1024)), HEADS)


def other_architectures() -> Iterator[Settings]:
    """Decoders of other families, trained whole where they are small."""
    yield from every(models(*SMALL), (FULL, LORA, DORA, QLORA), CHECKPOINTING, sizes((2, 768)), FUSED)
    yield from every(models(*LARGE), (LORA, QLORA), CHECKPOINTING, sizes((2, 768)), FUSED)
    yield from every(models(*SMALL, *LARGE), (LORA,), CHECKPOINTING, sizes((1, 2048)), HEADS)
    yield from every(models("mistral-7b", "gemma-2-9b"), (FULL,), CHECKPOINTING[:1], sizes((1, 1024)), FUSED)


def other_tasks() -> Iterator[Settings]:
    """Classification and sequence to sequence."""
    precision = [{"precision": name} for name in ("bf16", "bf16-autocast", "mixed", "fp32")]
    attention = ({}, PADDED, {"attention": "eager"})
    yield from every(models("bert-base"), (FULL, LORA), precision, attention, sizes((32, 128), (16, 512)))
    yield from every(models("bert-base"), (FULL, LORA, DORA, QLORA), CHECKPOINTING, sizes((64, 256)))
    yield from every(models("t5-base"), (FULL, LORA), CHECKPOINTING, attention, sizes((8, 256), (4, 512)))
    yield from every(models("t5-base"), (LORA | AUTOCAST, FULL | {"precision": "mixed"}, DORA), sizes((8, 256)))


def precisions() -> Iterator[Settings]:
    """Steps under autocast, as transformers runs them with bf16=True."""
    mixed = {"precision": "mixed"}
    trained = (LORA | AUTOCAST, FULL | AUTOCAST, DORA | AUTOCAST, QLORA | AUTOCAST)
    kinds = (*trained, PREPARED, LORA | mixed, FULL | mixed)
    yield from every(models(*FIRST), kinds, CHECKPOINTING, sizes((1, 2048), (4, 1024)), FUSED)
    yield from every(models("llama-3.2-3b"), kinds, CHECKPOINTING, sizes((2, 768)), HEADS[1:])
    others = models(*SMALL, "qwen3-8b", "gemma-2-9b")
    yield from every(others, (LORA | AUTOCAST,), CHECKPOINTING, sizes((2, 768)), FUSED)


def attention() -> Iterator[Settings]:
    """Padded rows, and scores that are kept."""
    kinds = (FULL, LORA, QLORA)
    yield from every(models(*FIRST), kinds, CHECKPOINTING, sizes((4, 1024), (2, 2048)), (PADDED,), FUSED)
    yield from every(models(*FIRST), kinds, CHECKPOINTING, sizes((2, 512), (1, 2048)), ({"attention": "eager"},), FUSED)


def variations() -> Iterator[Settings]:
    """Ranks, heads that train, optimizers, accumulation."""
    ranks = [{"rank": rank} for rank in (16, 64, 256)]
    size = sizes((1, 2048))
    yield from every(models("llama-3.2-3b", "phi-3-mini"), (LORA,), ranks, CHECKPOINTING, size, FUSED)
    heads = ({"targets": "all+embeddings"}, {"targets": "all+embeddings", "adapter_dtype": "bf16"})
    yield from every(models(*FIRST), (LORA,), heads, CHECKPOINTING, size, HEADS)
    fused = {"optimizer": "adamw-fused"}
    kinds = (fused, fused | {"accumulation": 2}, {"optimizer": "adamw-foreach"})
    yield from every(models(*FIRST), (FULL,), kinds, CHECKPOINTING, size, FUSED)
    yield from every(models("llama-3.2-3b"), (LORA,), ({"accumulation": 2},), CHECKPOINTING, size, FUSED)


def other_methods() -> Iterator[Settings]:
    """PEFT's other methods, sized as in PEFT's own comparison."""
    kinds = [{"method": name} for name in OTHER_METHODS]
    yield from every(models("llama-3.2-3b"), (LORA, DORA, *kinds), CHECKPOINTING[1:], sizes((4, 768)), HEADS[1:])
    yield from every(models("llama-3.2-3b"), kinds, CHECKPOINTING[:1], sizes((4, 768)), FUSED)


def published() -> Iterator[Settings]:
    """Runs of PEFT's own comparison, which were measured on a GPU."""
    ranked = [{"method": "lora", "rank": 64}, {"method": "dora", "rank": 32}, {"method": "loha", "rank": 32}]
    ranked += [{"method": "lokr", "rank": 32}, {"method": "vera", "rank": 256}, {"method": "oft"}, {"method": "boft"}]
    prompts = [{"method": "p-tuning", "rank": 20}, {"method": "prompt-tuning", "rank": 200}]
    kinds = [kind | {"targets": "qv"} for kind in ranked] + prompts + [FULL | {"optimizer": "adamw-fused"}]
    yield from every(models("llama-3.2-3b"), kinds, sizes((4, 768)), (PADDED,), HEADS[1:])


def trainer() -> Iterator[Settings]:
    """As this project's trainer runs a chat: padded rows, autocast, TRL's head, fused AdamW."""
    runs = AUTOCAST | PADDED | {"loss": "fused", "optimizer": "adamw-fused"}
    yield from every(models(*FIRST, *SMALL, *LARGE), (LORA | runs, QLORA | runs), CHECKPOINTING, sizes((4, 1024)))


def families() -> Iterator[Settings]:
    """What else a config.json can ask for."""
    full = FULL | {"optimizer": "adamw-fused"}  # one weight at a time takes twice the largest, often the vocabulary
    kinds, decoders, others = (full, LORA), sizes((2, 512), (1, 1024)), sizes((16, 128), (8, 384))
    yield from every(models(*OTHER_DECODERS), kinds, CHECKPOINTING, decoders, FUSED)
    yield from every(models(*OTHER_ENCODERS, *OTHER_PAIRS), kinds, CHECKPOINTING, others)
    kept = CHECKPOINTING[1:]
    yield from every(models(*OTHER_DECODERS), (LORA | AUTOCAST,), kept, decoders[1:], FUSED)
    yield from every(models(*OTHER_ENCODERS, *OTHER_PAIRS), (LORA | AUTOCAST,), kept, others[1:])
    yield from every(models(*ALIKE), kinds, kept, decoders[1:], FUSED)
    yield from every(models(*ALIKE_ENCODERS, *ALIKE_PAIRS), kinds, kept, others[1:])


def every(*dimensions: object) -> Iterator[Settings]:
    """Combine each with each."""
    for parts in product(*dimensions):
        yield {name: value for part in parts for name, value in part.items()}


GROUPS = (
    first,
    other_architectures,
    other_methods,
    precisions,
    attention,
    other_tasks,
    variations,
    published,
    trainer,
    families,
)

if __name__ == "__main__":
    cases = (case for group in GROUPS for case in group())
    lines = (" ".join(f"{name}={value}" for name, value in case.items()) for case in cases)
    print("\n".join(dict.fromkeys(lines)))
