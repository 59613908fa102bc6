"""Puts an adapter of PEFT on a model: its config, the task's head, and PEFT's objections in words for the user.

An adapter that another job delivered is taken up by the same way: a new one of the same make gets its weights.

Not here: what each method's config holds (`lora.py`, `peft_types.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft

from finetune_trainer.contract import FailureReason, TrainerRun
from finetune_trainer.models import heads
from finetune_trainer.process.failures import TrainerFailure

TASK_TYPES = {
    heads.SEQUENCE_CLASSIFICATION: "SEQ_CLS",
    heads.TOKEN_CLASSIFICATION: "TOKEN_CLS",
    heads.QUESTION_ANSWERING: "QUESTION_ANS",
    heads.SEQUENCE_TO_SEQUENCE: "SEQ_2_SEQ_LM",
    heads.CAUSAL_LM: "CAUSAL_LM",
}
"""A head by PEFT's name: with it a new head is trained whole and saved with the adapter."""

OBJECTIONS = (AssertionError, AttributeError, KeyError, RuntimeError, TypeError, ValueError)
"""What PEFT raises for a value that it cannot use."""


def attach(model: Any, kind: str, values: dict[str, Any], *, head: str, path: str) -> Any:
    """Make the config and put the adapter on the model.

    Raises:
        TrainerFailure: InvalidRun, with PEFT's message.
    """
    try:
        config = getattr(peft, kind)(task_type=TASK_TYPES[head], **values)
        return peft.get_peft_model(model, config)
    except OBJECTIONS as error:
        told = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise TrainerFailure(FailureReason.INVALID_RUN, f"{path}: {told}") from error


MAY_DIFFER = frozenset(
    (
        *("auto_mapping", "base_model_name_or_path", "corda_config", "eva_config", "inference_mode", "loftq_config"),
        *("lora_dropout", "lora_ga_config", "peft_version", "rank_pattern", "revision", "total_step"),
    )
)
"""Fields of a config that say nothing of what the weights mean."""

NETWORK_IS_LOST = "its network is not part of a delivered adapter; take prompt-tuning or lora"


def take_up(model: Any, run: TrainerRun) -> None:
    """Give a new adapter the weights of the one that the run goes on from, if they are of the same make.

    Raises:
        TrainerFailure: InvalidRun, with what differs.
    """
    folder = Path(str(run.model.adapter))
    if not hasattr(model, "peft_config"):
        raise _refused(f"method {run.technique.method} has no adapter to go on with; set the adapter's own method")
    ours = model.peft_config["default"]
    if run.technique.peft and (run.technique.peft.type == "p-tuning" or getattr(ours, "prefix_projection", False)):
        raise _refused(f"{run.technique.peft.type} cannot be taken up: {NETWORK_IS_LOST}")
    try:
        theirs = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _refused(f"{folder} holds no adapter: {error}") from error
    if theirs.get("base_model_name_or_path") != run.model.name:
        raise _refused(
            f"the adapter is of {theirs.get('base_model_name_or_path')}, this job's model is {run.model.name}"
        )
    for name, value in _plain(ours.to_dict()).items():
        if name not in MAY_DIFFER and _plain(theirs).get(name, value) != value:
            raise _refused(f"the adapter was made with {name}={theirs[name]}, this job asks for {value}; set the same")
    try:
        model.load_adapter(folder, "default", is_trainable=True)
    except (RuntimeError, ValueError) as error:
        told = str(error).strip().splitlines()[-1].strip()[:300]
        raise _refused(f"the adapter's weights do not fit, perhaps it has another number of labels: {told}") from error
    model.taken_up = True
    print(f"going on from the adapter in {folder}")


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """Write a config as its file has it, lists in order."""
    raw = json.loads(json.dumps(config, default=lambda each: sorted(each) if isinstance(each, set) else str(each)))
    return {name: sorted(value, key=str) if isinstance(value, list) else value for name, value in raw.items()}


def _refused(message: str) -> TrainerFailure:
    return TrainerFailure(FailureReason.INVALID_RUN, f"spec.model.fromJob: {message}")
