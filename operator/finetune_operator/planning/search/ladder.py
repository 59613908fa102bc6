"""The steps down that an attempt takes when memory runs out: the same job with less of it.

`ladder` is the entry, `aside` where a checkpoint has to stay readable.

Not here: when a step is taken (`reconcile`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.technique import Method, QuantizationType
from finetune_operator.planning.memory.workload import Sharding, Workload
from finetune_operator.planning.search.fitting import (
    Fit,
    Question,
    can_checkpoint,
    divides_quantized,
    of_size,
    predict,
    step,
)

STAGES = (1, 2, 3)

Step = tuple[str, Question, Workload]


@dataclass(frozen=True, slots=True)
class Rung:
    """One step down: what changes, and the memory that is predicted then."""

    change: str
    question: Question
    workload: Workload
    predicted_bytes: int


def ladder(fit: Fit) -> tuple[Rung, ...]:
    """Return every step down from a plan, each below the one before it in predicted memory."""
    return _falling(_planned(fit), _steps(fit.question, fit.workload))


def aside(fit: Fit) -> tuple[Rung, ...]:
    """Return the last steps of another way down, for an attempt whose checkpoint must stay readable.

    Optimizers lie in a checkpoint as strategy and stage divided them, and cannot be read by others. So where the ladder
    changes those, what else it changes follows here without that, from the last rung above such a change.
    """
    down, last = ladder(fit), _planned(fit)
    for rung in down:
        if reshards(last.question.sharding, rung.question.sharding):
            return _falling(last, _moved(last.question, last.workload, _offloads(last.question)))
        last = rung
    return ()


def reshards(before: Sharding, after: Sharding) -> bool:
    """Whether a checkpoint of one way cannot be read by the other; the trainer's `engines.ties` says the same."""
    return (before.strategy, before.stage) != (after.strategy, after.stage)


def _planned(fit: Fit) -> Rung:
    return Rung("", fit.question, fit.workload, fit.estimate.peak)


def _falling(above: Rung, steps: Iterable[Step]) -> tuple[Rung, ...]:
    """Return the steps that need less than the one before; what a step left out would have said, the next one says."""
    rungs: list[Rung] = []
    for change, question, work in steps:
        predicted = predict(question, work).peak
        if predicted < above.predicted_bytes:
            stage = f"ZeRO stage {question.sharding.stage}"
            unsaid = reshards(above.question.sharding, question.sharding) and stage != change
            above = Rung(f"{stage}, {change}" if unsaid else change, question, work, predicted)
            rungs.append(above)
    return tuple(rungs)


def _steps(question: Question, work: Workload) -> Iterator[Step]:
    size = work.micro_batch_size
    for smaller in (part for part in range(size // 2, 0, -1) if size % part == 0 and _halves(size, part)):
        work = _again(question, smaller, checkpointing=work.gradient_checkpointing)
        yield f"microBatchSize {smaller}, gradient accumulation {work.accumulation}", question, work
    if not work.gradient_checkpointing and can_checkpoint(question.spec):
        work = replace(work, gradient_checkpointing=True)
        yield "gradientCheckpointing", question, work
    yield from _moved(question, work, _shardings(question))


def _moved(question: Question, work: Workload, shardings: Iterable[tuple[str, Sharding]]) -> Iterator[Step]:
    """Return steps that share the job in other ways, and then quantize it in the last of them that can."""
    whole = None if divides_quantized(Method.QLORA, question.sharding) else question
    for words, sharding in shardings:
        question = replace(question, sharding=sharding)
        work = _again(question, work.micro_batch_size, checkpointing=work.gradient_checkpointing)
        yield words, question, work
        whole = whole if divides_quantized(Method.QLORA, sharding) else question
    quantized = _quantized(whole) if whole else None
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
    if not _is_open(question):
        return
    if asked.zero_stage is None and now.devices > 1:
        for stage in (higher for higher in STAGES if higher > now.stage):
            now = Sharding(strategy=Strategy.DEEPSPEED, stage=stage, devices=now.devices)
            yield f"ZeRO stage {stage}", now
    yield from _offloads(replace(question, sharding=now))


def _offloads(question: Question) -> Iterator[tuple[str, Sharding]]:
    now = question.sharding
    if not _is_open(question) or question.spec.distribution.offload is not None or now.stage == 0:
        return
    now = replace(now, offload_optimizer=True)
    yield "offload of the optimizer", now
    if now.stage == STAGES[-1]:
        yield "offload of parameters", replace(now, offload_parameters=True)


def _is_open(question: Question) -> bool:
    strategy = question.spec.distribution.strategy
    return strategy in {Strategy.AUTO, Strategy.DEEPSPEED} and not question.machine.is_cpu


def _quantized(question: Question) -> Question | None:
    """Return the job with 4-bit weights, where the user left the method open and did not rule them out."""
    technique = question.spec.technique
    barred = technique.quantization is not None and technique.quantization.type is QuantizationType.NONE
    other = {Method.LORA: Method.QLORA, Method.DORA: Method.QDORA}.get(question.method)
    if technique.method is not Method.AUTO or barred or other is None:
        return None
    return replace(question, method=other)
