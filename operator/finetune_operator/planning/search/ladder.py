"""The steps down that an attempt takes when memory runs out: the same job with less of it; `ladder` is the entry.

Not here: when a step is taken (`reconcile`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.technique import Method, QuantizationType
from finetune_operator.planning.memory.workload import Sharding, Workload
from finetune_operator.planning.search.fitting import Fit, Question, can_checkpoint, of_size, predict, step

STAGES = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Rung:
    """One step down: what changes, and the memory that is predicted then."""

    change: str
    question: Question
    workload: Workload
    predicted_bytes: int


def ladder(fit: Fit) -> tuple[Rung, ...]:
    """Return every step down from a plan, each below the one before it in predicted memory."""
    rungs: list[Rung] = []
    lowest = fit.estimate.peak
    for change, question, work in _steps(fit.question, fit.workload):
        predicted = predict(question, work).peak
        if predicted < lowest:
            rungs.append(Rung(change, question, work, predicted))
            lowest = predicted
    return tuple(rungs)


def _steps(question: Question, work: Workload) -> Iterator[tuple[str, Question, Workload]]:
    size = work.micro_batch_size
    for smaller in (part for part in range(size // 2, 0, -1) if size % part == 0 and _halves(size, part)):
        work = _again(question, smaller, checkpointing=work.gradient_checkpointing)
        yield f"microBatchSize {smaller}, gradient accumulation {work.accumulation}", question, work
    if not work.gradient_checkpointing and can_checkpoint(question.spec):
        work = replace(work, gradient_checkpointing=True)
        yield "gradientCheckpointing", question, work
    for words, sharding in _shardings(question):
        question = replace(question, sharding=sharding)
        work = _again(question, work.micro_batch_size, checkpointing=work.gradient_checkpointing)
        yield words, question, work
    quantized = _quantized(question)
    if quantized is not None:
        work = _again(quantized, work.micro_batch_size, checkpointing=work.gradient_checkpointing)
        yield f"method {quantized.method.value}", quantized, work


def _halves(size: int, part: int) -> bool:
    """Whether a part is reached by halving, or by the next divisor where a size is odd."""
    factor = size // part
    return factor & (factor - 1) == 0 or size % 2 == 1


def _again(question: Question, size: int, *, checkpointing: bool) -> Workload:
    return of_size(question, step(question), size, checkpointing=checkpointing)


def _shardings(question: Question) -> Iterator[tuple[str, Sharding]]:
    """Return higher stages, and then offloading, as far as the job left them open."""
    asked, now = question.spec.distribution, question.sharding
    if asked.strategy not in {Strategy.AUTO, Strategy.DEEPSPEED} or question.machine.is_cpu:
        return
    stage = now.stage
    if asked.zero_stage is None and now.devices > 1:
        for stage in (higher for higher in STAGES if higher > now.stage):
            now = Sharding(strategy=Strategy.DEEPSPEED, stage=stage, devices=now.devices)
            yield f"ZeRO stage {stage}", now
    if asked.offload is None and stage > 0:
        now = replace(now, offload_optimizer=True)
        yield "offload of the optimizer", now
        if stage == STAGES[-1]:
            yield "offload of parameters", replace(now, offload_parameters=True)


def _quantized(question: Question) -> Question | None:
    """Return the job with 4-bit weights, where the user left the method open and did not rule them out."""
    technique = question.spec.technique
    barred = technique.quantization is not None and technique.quantization.type is QuantizationType.NONE
    other = {Method.LORA: Method.QLORA, Method.DORA: Method.QDORA}.get(question.method)
    if technique.method is not Method.AUTO or barred or other is None:
        return None
    return replace(question, method=other)
