"""The text model inside of one that also sees, as Gemma 3 from 4B on: it is what is trained, and comes out alone.

Not here: loading it (`loading.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

NAMES: Mapping[str, str] = {
    "^language_model.model": "model",
    "^model.language_model": "model",
    "^language_model.lm_head": "lm_head",
}
"""What its weights are called inside, as regular expressions, and on their own."""


def is_inside(folder: Path, model_type: str) -> bool:
    """Whether a model of this type is the text model inside of the one in the folder."""
    whole = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return "text_config" in whole and whole.get("model_type") != model_type
