"""Finds the micro-batch with which a method fits into memory; `fit` is the entry.

Not here: how much memory a workload needs (`planning.memory`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec, Task
from finetune_operator.api.v1alpha1.technique import Method, Quantization
from finetune_operator.planning import adapters, hyperparameters
from finetune_operator.planning.catalog import ModelShape
from finetune_operator.planning.memory import MIB, MemoryEstimate, Workload, estimate

REQUEST_STEP = 64 * MIB
"""Memory requests are rounded up to this, so that they read well."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A workload that fits, its predicted memory, and why micro-batch and checkpointing came out as they did."""

    workload: Workload
    estimate: MemoryEstimate
    micro_batch_reason: str
    checkpointing_reason: str

    @property
    def request_bytes(self) -> int:
        """Bytes that the pod asks for and is limited to."""
        return request_bytes(self.estimate)


def request_bytes(predicted: MemoryEstimate) -> int:
    """Return the predicted peak, rounded up to a readable size."""
    return -(-predicted.peak // REQUEST_STEP) * REQUEST_STEP


def fit(*, spec: FineTuneJobSpec, shape: ModelShape, method: Method, length: int, budget: int) -> Fit | None:
    """Return the largest micro-batch that fits into the budget (bytes), without checkpointing if that is possible."""
    wish = spec.training.gradient_checkpointing
    for checkpointing in (False, True) if wish is None else (wish,):
        for size in _micro_batches(spec):
            workload = replace(
                smallest(spec=spec, shape=shape, method=method, length=length),
                micro_batch_size=size,
                gradient_checkpointing=checkpointing,
            )
            predicted = estimate(shape, workload)
            if request_bytes(predicted) <= budget:
                why = _checkpointing_reason(wish=wish, checkpointing=checkpointing)
                return Fit(workload, predicted, _batch_reason(spec, size), why)
    return None


def smallest(*, spec: FineTuneJobSpec, shape: ModelShape, method: Method, length: int) -> Workload:
    """Return the workload of the method that needs least: one row at a time, with checkpointing."""
    quantization = spec.technique.quantization or Quantization()
    lora = spec.technique.lora
    targets = (lora.target_modules if lora else None) or adapters.default_targets(shape)
    return Workload(
        method=method,
        quantization=(quantization.type, quantization.double_quant) if method is Method.QLORA else None,
        adapter=None if method is Method.FULL else adapters.adapter(shape, hyperparameters.rank(lora), targets),
        micro_batch_size=spec.training.micro_batch_size or 1,
        sequence_length=length,
        gradient_checkpointing=spec.training.gradient_checkpointing is not False,
        generative=spec.task is not Task.TEXT_CLASSIFICATION,
    )


def _micro_batches(spec: FineTuneJobSpec) -> tuple[int, ...]:
    """Return the sizes to try, largest first: each divides the effective batch."""
    if spec.training.micro_batch_size:
        return (spec.training.micro_batch_size,)
    batch = spec.training.batch_size
    return tuple(size for size in range(batch, 0, -1) if batch % size == 0)


def _batch_reason(spec: FineTuneJobSpec, size: int) -> str:
    if spec.training.micro_batch_size:
        return "asked for"
    if size == spec.training.batch_size:
        return "the whole batch fits at once"
    count = spec.training.batch_size // size
    return f"the largest that fits; {count} of them make one step of {spec.training.batch_size} rows"


def _checkpointing_reason(*, wish: bool | None, checkpointing: bool) -> str:
    if wish is not None:
        return "asked for"
    if checkpointing:
        return "without it not even one row fits; costs about a third more time"
    return "activations fit; recomputing them would only cost time"
