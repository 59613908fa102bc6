"""The options that PEFT's adapters know, by the names of its configs.

Not here: what an option does to memory (`planning.memory.adapters.peft`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from finetune_operator.api.v1alpha1.technique import PeftType
from finetune_operator.planning.catalog import lookup


@functools.cache
def peft_options() -> Mapping[PeftType, frozenset[str]]:
    """Return the names of the options of each type."""
    return {PeftType(kind): frozenset(names) for kind, names in lookup.read("peft_options.yaml").items()}
