"""Puts an adapter of PEFT on a model: its config, the task's head, and PEFT's objections in words for the user.

Not here: what each method's config holds (`lora.py`, `peft_types.py`).
"""

from __future__ import annotations

from typing import Any

import peft

from finetune_trainer import heads
from finetune_trainer.contract import FailureReason
from finetune_trainer.failures import TrainerFailure

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
