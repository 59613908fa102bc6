"""Choices fixed with `--pin name=value`, so that a published run is planned as it was run; `parse` reads them."""

from finetune_operator.runtime.commands.pins.fixed import Pins, parse
from finetune_operator.runtime.commands.pins.names import PINS, described

__all__ = ["PINS", "Pins", "described", "parse"]
