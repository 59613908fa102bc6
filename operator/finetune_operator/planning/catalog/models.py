"""The models that are known by name.

Not here: what follows from a model's numbers (`planning.catalog.shape`), models that are not in the catalog
(`planning.catalog.hf_config`).
"""

from __future__ import annotations

import functools

from finetune_operator.planning.catalog import lookup
from finetune_operator.planning.catalog.shape import ModelShape


@functools.cache
def models() -> tuple[ModelShape, ...]:
    """Return every model of the catalog."""
    return tuple(ModelShape.model_validate(entry) for entry in lookup.read("models.yaml"))


def find(name: str) -> ModelShape | None:
    """Return the model of that name or alias, letter case aside."""
    return lookup.by_name(models(), name)


def nearest(name: str) -> tuple[str, ...]:
    """Return up to three names of models like the given one, most alike first."""
    return lookup.alike(models(), name)
