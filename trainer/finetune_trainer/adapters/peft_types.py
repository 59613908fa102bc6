"""PEFT's adapters beside LoRA, one row each: its config, the layers it sits beside, and what it needs to be told.

Not here: the options that users give (`options.py`), what AdaLoRA does at each step (`adalora.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from finetune_trainer.adapters import adalora, attaching, options, targets
from finetune_trainer.contract import UNUSABLE_PEFT_TYPES, FailureReason, PeftSettings, TechniqueSettings
from finetune_trainer.models.heads import NEW_HEADS, QUESTION_ANSWERING, SEQUENCE_CLASSIFICATION, TOKEN_CLASSIFICATION
from finetune_trainer.process.failures import TrainerFailure

PROMPTS = ("prompt-tuning", "prefix-tuning", "p-tuning")
"""Adapters that are input of the model, not weights."""

BOTH = ("in", "out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """An adapter: `blocks` are options that must divide the widths of these sides, with PEFT's value as the most."""

    config: str
    targets: Callable[[Any], list[str]] | None = targets.query_value
    values: Mapping[str, Any] = field(default_factory=dict)
    blocks: Mapping[str, tuple[tuple[str, ...], int]] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    finish: Callable[[Any], Any] = lambda model: model


VIRTUAL_TOKENS = {"num_virtual_tokens": 20}
"""What the papers use for small data; PEFT has no default."""

COUNTS = {"oft_block_size": "r", "boft_block_size": "boft_block_num"}
"""Options that say how many blocks there are: PEFT takes one of the two."""

FROM_ZERO = {"init_weights": True}
"""PEFT starts these from noise, a worse model than the one to adapt."""

KINDS: Mapping[str, Kind] = {
    "ia3": Kind(config="IA3Config", targets=targets.key_value_mlp),
    "adalora": Kind(config="AdaLoraConfig", values={"total_step": adalora.UNKNOWN_STEPS}, finish=adalora.prepare),
    "prompt-tuning": Kind(config="PromptTuningConfig", targets=None, values=VIRTUAL_TOKENS),
    "prefix-tuning": Kind(config="PrefixTuningConfig", targets=None, values=VIRTUAL_TOKENS),
    "p-tuning": Kind(config="PromptEncoderConfig", targets=None, values=VIRTUAL_TOKENS),
    "vera": Kind(config="VeraConfig"),
    "oft": Kind(config="OFTConfig", blocks={"oft_block_size": (("in",), 32)}),
    "boft": Kind(config="BOFTConfig", blocks={"boft_block_size": (("in",), 4)}),
    "loha": Kind(config="LoHaConfig"),
    "lokr": Kind(config="LoKrConfig"),
    "fourierft": Kind(config="FourierFTConfig", values=FROM_ZERO),
    "hra": Kind(config="HRAConfig"),
    "ln-tuning": Kind(config="LNTuningConfig", targets=targets.norms),
    "miss": Kind(config="MissConfig"),
    "randlora": Kind(config="RandLoraConfig"),
    "vblora": Kind(config="VBLoRAConfig", blocks={"vector_length": (BOTH, 256)}),
    "trainable-tokens": Kind(config="TrainableTokensConfig", targets=None, needs=("token_indices",)),
    "c3a": Kind(config="C3AConfig", values=FROM_ZERO, blocks={"block_size": (BOTH, 256)}),
    "delora": Kind(config="DeloraConfig"),
    "gralora": Kind(config="GraloraConfig"),
    "hira": Kind(config="HiraConfig"),
    "road": Kind(config="RoadConfig", blocks={"group_size": (("out",), 64)}),
    "shira": Kind(config="ShiraConfig"),
    "waveft": Kind(config="WaveFTConfig"),
}


def attach(model: Any, technique: TechniqueSettings, head: str) -> Any:
    """Put the adapter on the model; what the user did not say is filled in from the model."""
    settings = technique.peft
    if settings is None:
        raise _refused("technique peft without its peft settings")
    kind = KINDS.get(settings.type)
    if kind is None:
        why = UNUSABLE_PEFT_TYPES.get(settings.type, f"it is not known to this trainer; take of {', '.join(KINDS)}")
        raise _refused(f"technique.peft.type: {settings.type} cannot be used: {why}")
    values = _values(model, kind, settings)
    _refuse_misfit(model, settings.type, head)
    adapted = attaching.attach(model, kind.config, values, head=head, path=f"technique.peft: {settings.type}")
    return kind.finish(adapted)


def _values(model: Any, kind: Kind, settings: PeftSettings) -> dict[str, Any]:
    given = options.read(kind.config, settings.options)
    if missing := [name for name in kind.needs if name not in given]:
        raise _refused(f"{options.PATH}.{missing[0]}: {settings.type} needs it")
    values = {**kind.values, **given}
    if "target_modules" in given and kind.targets in {targets.query_value, targets.key_value_mlp}:
        values["target_modules"] = targets.checked(model, given["target_modules"], f"{options.PATH}.target_modules")
    elif kind.targets is not None:
        values.setdefault("target_modules", kind.targets(model))
    for name, (sides, most) in kind.blocks.items():
        counted = given.get(COUNTS.get(name, ""))  # the number of blocks instead of their size
        values.setdefault(name, 0 if counted else targets.divisor(model, values["target_modules"], sides, most))
    if settings.type == "ia3":
        if values["target_modules"] == targets.ALL_LINEAR:
            values["target_modules"] = sorted(targets.linear_names(model))
        inward = [name for name in values["target_modules"] if name in targets.MLP_OUT]
        values.setdefault("feedforward_modules", inward)
    return values


def _refuse_misfit(model: Any, kind: str, head: str) -> None:
    """Refuse what would run and learn nothing, or read the wrong place."""
    if kind == "trainable-tokens" and head in NEW_HEADS:
        raise _refused(f"technique.peft: {kind} trains no head, and {head} needs a new one; take ia3 or lora")
    if kind in {"prompt-tuning", "p-tuning"}:
        if head in {TOKEN_CLASSIFICATION, QUESTION_ANSWERING}:
            raise _refused(f"technique.peft: {kind} shifts the answers of {head}; take prefix-tuning or lora")
        if head == SEQUENCE_CLASSIFICATION and hasattr(model, "score"):
            # a decoder's answer stands at the last token, which is found by its number: virtual tokens have none
            raise _refused(f"technique.peft: {kind} hides from {type(model).__name__} where a text ends; take lora")


def _refused(message: str) -> TrainerFailure:
    return TrainerFailure(FailureReason.INVALID_RUN, message)
