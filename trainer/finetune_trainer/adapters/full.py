"""Full fine-tuning: every weight is trained.

Not here: saving it whole (`export.py`).
"""

from __future__ import annotations

from typing import Any

from finetune_trainer.contract import TechniqueSettings


def attach(model: Any, _technique: TechniqueSettings, _head: str) -> Any:
    """Leave the model as it is: all of it is trainable."""
    return model
