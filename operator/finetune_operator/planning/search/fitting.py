"""Finds the micro-batch with which a method fits on a machine; `fit` is the entry.

Not here: how much memory a workload needs (`planning.memory`), which machine and method to try (`planning.plan`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec, Task
from finetune_operator.api.v1alpha1.storage import OutputFormat
from finetune_operator.api.v1alpha1.technique import Goal, Method, PeftType, Quantization, QuantizationType
from finetune_operator.api.v1alpha1.training import Precision
from finetune_operator.planning import hyperparameters
from finetune_operator.planning.catalog import ModelKind, ModelShape
from finetune_operator.planning.duration import Run, row_tokens, step_seconds
from finetune_operator.planning.machines import Machine
from finetune_operator.planning.memory import device, export, host, pod
from finetune_operator.planning.memory.adapters import lora, peft
from finetune_operator.planning.memory.estimate import MIB, MemoryEstimate
from finetune_operator.planning.memory.workload import (
    PARAMETERS_STAGE,
    TRAINER,
    Adapter,
    Loss,
    Quantizer,
    Sharding,
    Stack,
    Workload,
)

AS_FAST = 1.03
"""Times within this factor count as equal: the prediction is no better."""

REQUEST_STEP = 64 * MIB
"""Memory requests are rounded up to this, so that they read well."""

QUANTIZED = frozenset({Method.QLORA, Method.QDORA})
MAGNITUDES = frozenset({Method.DORA, Method.QDORA})
WITHOUT_LOGITS = frozenset({Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is looked for: a job of this method and length on this machine, shared in this way."""

    spec: FineTuneJobSpec
    shape: ModelShape
    machine: Machine
    method: Method
    length: int
    devices_per_node: int = 1
    sharding: Sharding
    precision: Precision
    stack: Stack = TRAINER

    @property
    def nodes(self) -> int:
        """Pods of the job."""
        return self.sharding.devices // self.devices_per_node


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A workload that fits, and its predicted memory."""

    question: Question
    workload: Workload
    estimate: MemoryEstimate
    host_bytes: int
    """Memory that the pod asks for."""


def request_bytes(predicted: int) -> int:
    """Return predicted bytes, rounded up to a readable size."""
    return -(-predicted // REQUEST_STEP) * REQUEST_STEP


def fit(question: Question) -> Fit | None:
    """Return the way that takes least time; of those that take about as long the one that needs least memory."""
    if question.machine.is_cpu:
        return next(_fitting(question), None)
    found = tuple(_fitting(question))
    if not found:
        return None
    times = {id(one): step_seconds(question.shape, one.workload, question.machine, run(question, one)) for one in found}
    fastest = min(times.values())
    return min((one for one in found if times[id(one)] <= fastest * AS_FAST), key=lambda one: one.estimate.peak)


def run(question: Question, found: Fit, steps: int | None = None) -> Run:
    """Return what a run's duration follows from."""
    tokens, work = question.spec.dataset.tokens, found.workload
    return Run(
        steps=steps,
        devices_per_node=question.devices_per_node,
        nodes=question.nodes,
        host_bytes=found.host_bytes,
        row_tokens=row_tokens(work.sequence_length, work.micro_batch_size, tokens),
    )


def _fitting(question: Question) -> Iterator[Fit]:
    """Return every micro-batch that fits, largest first, without checkpointing and then with it."""
    base = step(question)
    for checkpointing in _checkpointing(question.spec):
        for size in micro_batches(question.spec, question.sharding.devices):
            work = of_size(question, base, size, checkpointing=checkpointing)
            predicted = predict(question, work)
            needs = pod_bytes(question, work, predicted)
            if _fits(question.machine, predicted, needs):
                yield Fit(question=question, workload=work, estimate=predicted, host_bytes=needs)


def _checkpointing(spec: FineTuneJobSpec) -> tuple[bool, ...]:
    """Return what to try: what was asked for, or what the goal asks for."""
    if not can_checkpoint(spec):
        return (False,)
    if spec.training.gradient_checkpointing is not None:
        return (spec.training.gradient_checkpointing,)
    return (True,) if Goal.REDUCE_MEMORY in spec.technique.goals else (False, True)


def can_checkpoint(spec: FineTuneJobSpec) -> bool:
    """Return whether activations can be computed again: learned prefixes do not outlive that."""
    return spec.technique.peft is None or spec.technique.peft.type is not PeftType.PREFIX_TUNING


def divides_quantized(method: Method, sharding: Sharding) -> bool:
    """Whether quantized weights would lie in parts, which the trainer does not do."""
    return method in QUANTIZED and sharding.stage == PARAMETERS_STAGE


def smallest(question: Question) -> MemoryEstimate:
    """Return what the job needs at least in this way."""
    return smallest_step(question)[1]


def smallest_step(question: Question) -> tuple[Workload, MemoryEstimate]:
    """Return the step that needs least in this way: with checkpointing, and one row at a time or all of them.

    All at once can need less: nothing is added up then, so that gradients are not there all the time.
    """
    base, checkpointing = step(question), _checkpointing(question.spec)[-1]
    sizes = tuple(micro_batches(question.spec, question.sharding.devices))
    ends = (of_size(question, base, size, checkpointing=checkpointing) for size in {sizes[0], sizes[-1]})
    return min(((work, predict(question, work)) for work in ends), key=lambda pair: pair[1].peak)


def needed_beside(question: Question) -> int:
    """Return the memory of the pod that the smallest form of the job needs."""
    return pod_bytes(question, step(question), smallest(question))


def predict(question: Question, work: Workload) -> MemoryEstimate:
    """Return the predicted memory of one process."""
    if question.machine.is_cpu:
        return host.estimate(question.shape, work)
    return device.estimate(question.shape, work)


def pod_bytes(question: Question, work: Workload, predicted: MemoryEstimate) -> int:
    """Return the memory that the pod asks for: on a CPU the process itself, else what runs beside the devices.

    Artifacts are written when training is over: the pod needs what takes more of the two.
    """
    beside = pod.beside_devices(question.shape, work, question.devices_per_node)
    training = predicted.peak if question.machine.is_cpu else beside
    return request_bytes(max(training, writing_bytes(question, work)))


def writing_bytes(question: Question, work: Workload) -> int:
    """Return the memory of the pod while a language model is written for ONNX Runtime; 0 where none is asked for."""
    if OutputFormat.ONNX not in question.spec.output.formats:
        return 0
    builder = export.builder(question.shape, work)
    processes = host.stack(work) if question.machine.is_cpu else question.devices_per_node * pod.PROCESS_BYTES
    return builder + processes if builder else 0


def _fits(machine: Machine, predicted: MemoryEstimate, needs: int) -> bool:
    if machine.is_cpu:
        return needs <= machine.host_bytes
    return predicted.peak <= machine.device_bytes and needs <= machine.host_bytes


def micro_batches(spec: FineTuneJobSpec, devices: int) -> Iterator[int]:
    """Return the sizes to try, largest first: each divides the effective batch evenly over all devices."""
    batch, fixed = spec.training.batch_size, spec.training.micro_batch_size
    if fixed is not None:
        yield from (fixed,) if batch % (fixed * devices) == 0 else ()
    elif batch % devices == 0:
        yield from _divisors(batch // devices)


def _divisors(number: int) -> tuple[int, ...]:
    """Return what divides a number, largest first."""
    small = [size for size in range(1, math.isqrt(number) + 1) if number % size == 0]
    return tuple(sorted({*small, *(number // size for size in small)}, reverse=True))


def of_size(question: Question, base: Workload, size: int, *, checkpointing: bool) -> Workload:
    """Return the step with so many rows at once, and as many of them as make the effective batch."""
    accumulation = max(1, question.spec.training.batch_size // (size * question.sharding.devices))
    return replace(base, micro_batch_size=size, accumulation=accumulation, gradient_checkpointing=checkpointing)


def step(question: Question) -> Workload:
    """Return one step of the job, of one row."""
    spec, stack = question.spec, question.stack
    half = question.precision is not Precision.FP32
    deepspeed = question.sharding.strategy is Strategy.DEEPSPEED
    narrow = 2 if half and deepspeed else 4  # DeepSpeed casts adapters down with the model
    preference = spec.task is Task.PREFERENCE
    return Workload(
        method=question.method,
        quantizer=quantizer(spec, question.method, stack),
        adapter=adapter(spec, question.shape, question.method),
        micro_batch_size=1,
        sequence_length=question.length,
        sequences_per_row=2 if preference else 1,
        precision=question.precision,
        adapter_bytes=stack.adapter_bytes or narrow,
        optimizer=spec.training.optimizer,
        loss=_loss(spec.task, question.shape, stack, autocast=stack.autocast and not deepspeed),
        reference=preference and question.method is Method.FULL,  # with an adapter the base itself is the reference
        stack=stack if not deepspeed else replace(stack, autocast=False),
        sharding=question.sharding,
    )


def _loss(task: Task, shape: ModelShape, stack: Stack, *, autocast: bool) -> Loss:
    """Return how a software computes the loss: as it was said, but for logits that nobody lifts to fp32."""
    return Loss.HALF if not (stack.lifts_logits or autocast) else stack.loss or loss(task, shape)


def loss(task: Task, shape: ModelShape) -> Loss:
    """Return how the trainer computes the loss of a task."""
    if task in WITHOUT_LOGITS or (task is Task.QUESTION_ANSWERING and shape.kind is ModelKind.ENCODER):
        return Loss.NONE
    return Loss.FULL if task is Task.PREFERENCE or shape.kind is ModelKind.ENCODER_DECODER else Loss.FUSED


def quantizer(spec: FineTuneJobSpec, method: Method, stack: Stack) -> Quantizer | None:
    """Return how frozen weights are stored."""
    if stack.quantizer is not None:
        return stack.quantizer
    if method not in QUANTIZED:
        return None
    asked = spec.technique.quantization or Quantization()
    if asked.type is QuantizationType.INT8:
        return Quantizer.INT8
    return Quantizer.NF4_DOUBLE if asked.double_quant else Quantizer.NF4


def adapter(spec: FineTuneJobSpec, shape: ModelShape, method: Method) -> Adapter | None:
    """Return the size of the adapter; None where every weight learns."""
    if method is Method.FULL:
        return None
    technique = spec.technique
    if method is Method.PEFT:
        asked_peft = technique.peft or hyperparameters.AUTOMATIC_PEFT
        return peft.peft(shape, asked_peft.type, asked_peft.options)
    asked = technique.lora
    names = (asked.target_modules if asked else None) or lora.default_targets(shape)
    size = lora.dora if method in MAGNITUDES else lora.lora
    found = size(shape, hyperparameters.rank(asked), names, dropout=bool(asked and asked.dropout))
    if set(lora.HEADS) & set(names):
        found = lora.with_head(shape, found, hyperparameters.rank(asked))
    return lora.with_embeddings(shape, found, asked.modules_to_save) if asked and asked.modules_to_save else found
