"""Words of published tables, and what they stand for: methods of PEFT's benchmark, ZeRO stages, cards by their size.

Not here: names that are the API's own (`pins.names`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from finetune_operator.api.v1alpha1.hardware import OffloadTarget, Strategy
from finetune_operator.api.v1alpha1.technique import LoraVariant, Method, PeftType
from finetune_operator.planning.catalog import Group, ModelShape
from finetune_operator.planning.memory.adapters.lora import ALL_LINEAR, HEADS
from finetune_operator.planning.memory.software import Software
from finetune_operator.runtime.commands.pins.readers import AMOUNT, memory, one_of

Path = tuple[str, ...]

METHOD: Final[Path] = ("technique", "method")
PEFT_TYPE: Final[Path] = ("technique", "peft", "type")
PEFT_OPTIONS: Final[Path] = ("technique", "peft", "options")
LORA: Final[Path] = ("technique", "lora")
STRATEGY: Final[Path] = ("distribution", "strategy")
STAGE: Final[Path] = ("distribution", "zeroStage")
OFFLOAD: Final[Path] = ("distribution", "offload")
ACCELERATOR: Final[Path] = ("hardware", "accelerator")
DEVICE_MEMORY: Final[Path] = ("deviceMemory",)
"""No field of a job, but of what is offered to it."""

STAND_IN: Final = "nvidia-a100-80gb"
"""The card that stands in for one of which only the memory is known."""


class Several(dict[Path, Any]):
    """Several fields that one word stands for."""


PEFT_WORDS: Final[Mapping[str, PeftType]] = {
    **{kind.value: kind for kind in PeftType},
    "bone": PeftType.MISS,
    "prefixtuning": PeftType.PREFIX_TUNING,
    "ptuning": PeftType.P_TUNING,
}
WHOLE: Final = frozenset({"full", "osf"})
"""Methods that train whole matrices; orthogonal subspace fine-tuning keeps them in parts of the same size."""

LIKE_LORA: Final = frozenset({"adaptionprompt", "adaption", "lorafa"})
"""Adapters that are computed as LoRA: the planner has no size of their own."""

ADAPTERS: Final = {"lora": Method.LORA, "qlora": Method.QLORA, "dora": Method.DORA, "qdora": Method.QDORA}
MADE_DORA: Final = {Method.LORA: Method.DORA, Method.QLORA: Method.QDORA}
BESIDE: Final = frozenset({"prompt", *LIKE_LORA})
"""Words behind a method that change no size."""

TARGETS: Final = {"qv": ("q", "v"), "mlp": ("gate_proj", "up_proj", "down_proj")}
"""Words for what an adapter is put on, in PEFT's benchmark of Llama 3.2."""

EMBEDDINGS: Final = ("embed_tokens", "lm_head")
VIRTUAL: Final = frozenset({PeftType.PROMPT_TUNING, PeftType.PREFIX_TUNING, PeftType.P_TUNING})

_NUMBER = re.compile(r"r?(\d+)")


def method(text: str) -> Method | Several:
    """Read a method of the API, or of a table: `lora+emb`, `lora-r32-dora`, `full-lr1e-5`, `prompt_tuning-200`.

    Raises:
        ValueError: nobody knows such a method.
    """
    if text in {known.value for known in Method}:
        return Method(text)
    word = text.lower().replace("_", "-")
    kinds = (known for known in PEFT_WORDS if f"{word}-".startswith(f"{known}-"))
    if kind := max(kinds, key=len, default=None):
        return _peft(PEFT_WORDS[kind], word.removeprefix(kind).split("-"))
    base, *rest = word.replace("+", "-").split("-")
    if base in WHOLE:
        return Several({METHOD: Method.FULL})
    if base in LIKE_LORA or base in ADAPTERS:
        return _adapter(ADAPTERS.get(base, Method.LORA), rest, text)
    raise ValueError(f"must be one of {', '.join([*Method, *PEFT_WORDS])}")


def _peft(kind: PeftType, words: list[str]) -> Several:
    """Return the fields of an adapter of PEFT, with the number in its name: a rank, or how many virtual tokens."""
    found = Several({METHOD: Method.PEFT, PEFT_TYPE: kind})
    if kind is PeftType.TRAINABLE_TOKENS:
        found[*PEFT_OPTIONS, "token_indices"] = "0"
    numbers = [int(number[1]) for number in map(_NUMBER.fullmatch, words) if number]
    if numbers:
        found[*PEFT_OPTIONS, "num_virtual_tokens" if kind in VIRTUAL else "r"] = numbers[0]
    return found


def _adapter(base: Method, words: list[str], text: str) -> Several:
    found = Several({METHOD: base})
    for word in words:
        if word == "dora":
            found[METHOD] = MADE_DORA.get(base, base)
        elif word == "emb":
            found[*LORA, "modulesToSave"] = list(EMBEDDINGS)
        elif word in TARGETS:
            found[*LORA, "targetModules"] = list(TARGETS[word])
        elif said := re.fullmatch(r"r(\d+)", word):
            found[*LORA, "rank"] = int(said[1])
        elif word in set(LoraVariant):
            found[*LORA, "variant"] = word
        elif word not in BESIDE:
            raise ValueError(f"has a word that is not known, {word!r}; write it without, or as the API does: {text}")
    return found


def strategy(text: str) -> Strategy | Several:
    """Read a strategy of the API, or of a table: `zero3`, `zero3+offload`.

    Raises:
        ValueError: nobody knows such a strategy.
    """
    found = re.fullmatch(r"zero-?([0-3])(\+offload)?", text.lower())
    if found is None:
        read: Strategy = one_of(tuple(Strategy))(text.lower())
        return read
    fields = Several({STRATEGY: Strategy.DEEPSPEED, STAGE: int(found[1])})
    if found[2]:
        fields[*OFFLOAD, "optimizer"] = OffloadTarget.CPU
        fields[*OFFLOAD, "parameters"] = OffloadTarget.CPU if found[1] == "3" else OffloadTarget.NONE
    return fields


def accelerator(text: str) -> str | Several:
    """Read the name of an accelerator, or the memory of a card of which nothing else is known: `24GB`."""
    if AMOUNT.fullmatch(text):
        return Several({ACCELERATOR: STAND_IN, DEVICE_MEMORY: memory(text)})
    return text.lower().replace(" ", "-")


SOURCES: Final[Mapping[str, Software]] = {
    **{one.value: one for one in Software},
    "peftbench": Software.TRANSFORMERS,
    "peft-readme": Software.TRANSFORMERS_444,
    "peft": Software.TRANSFORMERS,
    "llama-factory": Software.LLAMAFACTORY,
}


def software(text: str) -> Software:
    """Read the name of software, or of the table that a run stands in: `litgpt-a100`.

    Raises:
        ValueError: nobody knows such software.
    """
    word = text.lower().replace("_", "-")
    known = (name for name in SOURCES if f"{word}-".startswith(f"{name}-"))
    found = max(known, key=len, default=None)
    if found is None:
        raise ValueError(f"must be one of {', '.join(Software)}")
    return SOURCES[found]


ROLES: Final[Mapping[str, tuple[Group, int | None]]] = {
    "q": (Group.ATTENTION_IN, 0),
    "k": (Group.ATTENTION_IN, 1),
    "v": (Group.ATTENTION_IN, -1),
    "o": (Group.ATTENTION_OUT, None),
    "gate": (Group.MLP_IN, 0),
    "up": (Group.MLP_IN, -1),
    "down": (Group.MLP_OUT, None),
}
"""Letters for matrices, by their place in a layer: one that holds several of them has the place of each."""


def targets(asked: Iterable[str], model: ModelShape | None) -> list[str]:
    """Return the names that a model has for what a table says: `all`, or letters such as `q,v`; others as they are."""
    found: list[str] = []
    for word in asked:
        if word == "all":
            found.append(ALL_LINEAR)
        elif word == "head":
            found.append(HEADS[0])
        elif model is None or word not in ROLES or any(one.matches(word) for one in model.linears):
            found.append(word)
        else:
            group, place = ROLES[word]
            names = [one.name for one in model.linears if one.group is group]
            found.extend(names if place is None or len(names) <= place else [names[place]])
    return list(dict.fromkeys(found))
