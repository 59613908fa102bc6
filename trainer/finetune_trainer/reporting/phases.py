"""Tells forward from backward in a step, by hooks on the model; a step of several micro-batches adds them up.

On a GPU this is the host's view: it sees the waiting where it waits, and the sum of all phases is right.

Not here: the phases between steps (`callback.py`), the counter (`metrics.py`).
"""

from __future__ import annotations

import time
from typing import Any

from finetune_trainer.reporting.metrics import Metrics


class Passes:
    """Times the passes through one model while it trains."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._hooks: list[Any] = []
        self._at = 0.0
        self._forward = self._backward = 0.0

    def attach(self, model: Any) -> None:
        """Begin to time."""
        self._hooks = [model.register_forward_pre_hook(self._begins), model.register_forward_hook(self._ends)]

    def detach(self) -> None:
        """Leave the model as it was."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def micro_batch_done(self) -> None:
        """Note that the gradients of a micro-batch are there."""
        now = time.monotonic()
        self._backward += now - self._at if self._at else 0.0
        self._at = 0.0

    def step_done(self) -> None:
        """Enter the passes of a step."""
        self._metrics.observe_phase("forward", self._forward)
        self._metrics.observe_phase("backward", self._backward)
        self._forward = self._backward = 0.0

    def _begins(self, model: Any, _inputs: Any) -> None:
        if model.training:
            self._at = time.monotonic()

    def _ends(self, model: Any, _inputs: Any, _output: Any) -> None:
        if model.training:
            now = time.monotonic()
            self._forward += now - self._at
            self._at = now
