"""Each architecture that a config.json can name was counted: `tests/data/fake_memory.csv` has rows of it.

Needs no torch. That the planner is within 5 % of every row is tested beside the formula (`test_device.py`).
"""

import pathlib

from case import rows
from finetune_operator.planning.catalog.families import FAMILIES
from planner import shape_of

COUNTED = rows(pathlib.Path(__file__).parents[1] / "data/fake_memory.csv")

ELSEWHERE = {"gemma3": "its text model, a gemma3_text, is what is trained of it"}
"""Architectures without a language model of their own in transformers."""

IN_CI = {"phi3small"}
"""Architectures that only `test_planner_agrees.py` counts, again and again: its modules are this project's."""

ADAPTERS_ONLY = {"falcon", "qwen2", "qwen3"}
"""Architectures that were counted on models too large to be trained whole."""


def test_every_architecture_was_counted():
    counted = {shape_of(case).model_type for case, _measured in COUNTED}
    assert FAMILIES.keys() - counted == ELSEWHERE.keys() | IN_CI


def test_every_architecture_was_counted_whole_and_with_an_adapter():
    methods = {}
    for case, _measured in COUNTED:
        methods.setdefault(shape_of(case).model_type, set()).add(case.method)
    assert {kind for kind, found in methods.items() if "lora" not in found} == set()
    assert {kind for kind, found in methods.items() if "full" not in found} == ADAPTERS_ONLY
