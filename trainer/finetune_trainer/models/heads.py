"""The heads that a model can have on top, and the family of a model, which decides what it can answer with.

Not here: which task needs which (`objectives/registry.py`), loading one (`models.py`).
"""

from __future__ import annotations

import enum
import json
from pathlib import Path

from finetune_trainer.contract import ModelSource

SEQUENCE_CLASSIFICATION = "sequence-classification"
TOKEN_CLASSIFICATION = "token-classification"  # noqa: S105 - no secret
QUESTION_ANSWERING = "question-answering"
SEQUENCE_TO_SEQUENCE = "seq2seq-lm"
CAUSAL_LM = "causal-lm"

NEW_HEADS = frozenset({SEQUENCE_CLASSIFICATION, TOKEN_CLASSIFICATION, QUESTION_ANSWERING})
"""Heads that a checkpoint usually lacks, or has for other labels: they are drawn anew."""

LAYERS = ("classifier", "score", "qa_outputs", "lm_head")
"""Heads by the names of their layers; these stay unquantized: they are trained whole or multiply the loss."""


class Family(enum.StrEnum):
    """How a model reads: both ways at once, from left to right, or one text first and then another."""

    ENCODER = "encoder"
    DECODER = "decoder"
    ENCODER_DECODER = "encoder-decoder"


ENCODERS = frozenset(
    (
        *("albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra"),
        *("modernbert", "mpnet", "roberta", "xlm-roberta"),
    )
)


def family(model: ModelSource) -> Family | None:
    """Read a model's family from its config.json, which is small and needs no torch.

    None where there is no such file: loading the model says why.
    """
    try:
        config = json.loads((Path(model.path or "") / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if config.get("is_encoder_decoder"):
        return Family.ENCODER_DECODER
    return Family.ENCODER if config.get("model_type") in ENCODERS else Family.DECODER
