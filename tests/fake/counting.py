"""Counts the live bytes of tensors while real training code runs on fake ones.

A storage is counted from the operation that makes it until Python frees it, rounded up to 512 bytes as PyTorch's CUDA
allocator does. What allocators add (fragmentation, the CUDA context, cuBLAS' workspace) is not counted, and neither is
what a kernel holds inside of itself, except where `held_inside` says so for kernels whose GPU version is known to.

Not here: what is run (`measure.py`), what a GPU would run instead of a CPU (`gpu.py`).
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

BLOCK = 512


class Phase(StrEnum):
    """What a tensor was made for: the part of a training step that made it, or gradients, which outlive theirs."""

    PARAMETERS = "params"
    FORWARD = "forward"
    BACKWARD = "backward"
    GRADIENTS = "grads"
    OPTIMIZER = "optim"


class LiveBytes(TorchDispatchMode):
    """Live bytes now and at their peak, by phase."""

    def __init__(self, held_inside: Callable[[Any, tuple[Any, ...]], int] = lambda _operation, _arguments: 0) -> None:
        super().__init__()
        self.phase = Phase.PARAMETERS
        self.live = 0
        self.by_phase: Counter[Phase] = Counter()
        self.peak = 0
        self.at_peak: Counter[Phase] = Counter()
        self.peak_of: Counter[Phase] = Counter()
        self._held_inside = held_inside
        self._storages: dict[int, tuple[int, Phase]] = {}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor):
                self.count(value)
        if inside := self._held_inside(operation, args):
            self._see(inside)
        return result

    def count(self, tensor: torch.Tensor, phase: Phase | None = None) -> None:
        """Count a tensor's storage, once however many views there are of it."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._storages:
            return
        size = -(-storage.nbytes() // BLOCK) * BLOCK
        self._storages[key] = (size, phase or self.phase)
        self.live += size
        self.by_phase[phase or self.phase] += size
        weakref.finalize(storage, self._forget, key)
        self._see()

    def move(self, tensor: torch.Tensor, phase: Phase) -> None:
        """Say that a tensor is kept for something else than what made it."""
        key = tensor.untyped_storage()._cdata
        if key in self._storages:
            size, before = self._storages[key]
            self._storages[key] = (size, phase)
            self.by_phase[before] -= size
            self.by_phase[phase] += size

    def _see(self, inside: int = 0) -> None:
        now = self.live + inside
        self.peak_of[self.phase] = max(self.peak_of[self.phase], now)
        if now > self.peak:
            self.peak = now
            self.at_peak = self.by_phase + Counter({self.phase: inside})

    def _forget(self, key: int) -> None:
        size, phase = self._storages.pop(key)
        self.live -= size
        self.by_phase[phase] -= size
