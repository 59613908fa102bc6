"""Decides how a job runs before a pod is started; `plan` is the entry, `Plan` or `Refusal` the answer.

Not here: the pod made of it (`manifests`), the wording in status (`status`).
"""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.spec import Accelerator, FineTuneJobSpec, Precision, Task
from finetune_operator.api.v1alpha1.technique import Lora, Method, Quantization
from finetune_operator.planning import adapters, catalog, hyperparameters
from finetune_operator.planning.catalog import ModelKind, ModelShape
from finetune_operator.planning.fitting import Fit, fit, request_bytes, smallest
from finetune_operator.planning.memory import MemoryEstimate, estimate, readable, trainable_parameters
from finetune_operator.planning.profiles import Profiles

ASKED = "asked for"

AUTOMATIC = {
    Method.LORA: "trains a small part of the weights, and the adapter is a few megabytes",
    Method.QLORA: "lora does not fit here; with 4-bit weights the model does",
}
"""Methods that `auto` tries, in this order, and what speaks for each."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision and its reason; `name` is the spec's word for it."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a run needs that the user may have left open. Memory in bytes, lengths in tokens."""

    shape: ModelShape
    method: Method
    accelerator: Accelerator
    devices: int
    precision: Precision
    lora: Lora | None
    quantization: Quantization | None
    epochs: float | None
    max_steps: int | None
    learning_rate: float
    sequence_length: int
    micro_batch_size: int
    gradient_accumulation_steps: int
    gradient_checkpointing: bool
    trainable_parameters: int
    memory: MemoryEstimate
    memory_bytes: int
    choices: tuple[Choice, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the job cannot run as it is written, and the way out."""

    reason: Reason
    message: str


def plan(spec: FineTuneJobSpec, profiles: Profiles) -> Plan | Refusal:
    """Return the plan of a job, or why there is none."""
    shape = catalog.find(spec.model.name)
    if shape is None:
        return _unknown_model(spec.model.name)
    if (refusal := _contradiction(spec, shape)) is not None:
        return refusal
    length = spec.training.sequence_length or hyperparameters.sequence_length(spec.task, shape)[0]
    wish = spec.technique.method
    for method in AUTOMATIC if wish is Method.AUTO else (wish,):
        found = fit(spec=spec, shape=shape, method=method, length=length, budget=profiles.cpu.memory_bytes)
        if found is not None:
            return _complete(spec, profiles, shape, found)
    return _does_not_fit(spec, profiles, shape, length)


def _complete(spec: FineTuneJobSpec, profiles: Profiles, shape: ModelShape, found: Fit) -> Plan:
    work = found.workload
    max_steps = spec.training.max_steps
    return Plan(
        shape=shape,
        method=work.method,
        accelerator=spec.hardware.accelerator,
        devices=1,
        precision=_precision(spec, profiles)[0],
        lora=None if work.method is Method.FULL else _lora(spec, shape),
        quantization=(spec.technique.quantization or Quantization()) if work.method is Method.QLORA else None,
        epochs=None if max_steps else spec.training.epochs or 1.0,
        max_steps=max_steps,
        learning_rate=spec.training.learning_rate or hyperparameters.learning_rate(work.method)[0],
        sequence_length=work.sequence_length,
        micro_batch_size=work.micro_batch_size,
        gradient_accumulation_steps=spec.training.batch_size // work.micro_batch_size,
        gradient_checkpointing=work.gradient_checkpointing,
        trainable_parameters=trainable_parameters(shape, work),
        memory=found.estimate,
        memory_bytes=found.request_bytes,
        choices=_choices(spec, profiles, shape, found),
        warnings=_warnings(spec, work.method),
    )


def _choices(spec: FineTuneJobSpec, profiles: Profiles, shape: ModelShape, found: Fit) -> tuple[Choice, ...]:
    work = found.workload
    rate, rate_reason = hyperparameters.learning_rate(work.method)
    precision, precision_reason = _precision(spec, profiles)
    method_reason = AUTOMATIC[work.method] if spec.technique.method is Method.AUTO else ASKED
    length_reason = ASKED if spec.training.sequence_length else hyperparameters.sequence_length(spec.task, shape)[1]
    terms = ", ".join(f"{name} {readable(size)}" for name, size in found.estimate.terms)
    return (
        Choice("technique.method", work.method.value, method_reason),
        Choice("training.precision", precision.value, precision_reason),
        Choice("training.sequenceLength", str(work.sequence_length), length_reason),
        Choice("training.microBatchSize", str(work.micro_batch_size), found.micro_batch_reason),
        Choice("training.gradientCheckpointing", str(work.gradient_checkpointing).lower(), found.checkpointing_reason),
        Choice(
            "training.learningRate",
            f"{spec.training.learning_rate or rate:g}",
            ASKED if spec.training.learning_rate else rate_reason,
        ),
        Choice("memory", readable(found.request_bytes), f"predicted peak, requested and limited: {terms}"),
    )


def _precision(spec: FineTuneJobSpec, profiles: Profiles) -> tuple[Precision, str]:
    if spec.training.precision is not None:
        return spec.training.precision, ASKED
    if profiles.cpu.bf16:
        return Precision.BF16, "these processors compute bf16 natively"
    return Precision.FP32, "bf16 is slow on processors without instructions for it"


def _lora(spec: FineTuneJobSpec, shape: ModelShape) -> Lora:
    given = spec.technique.lora
    targets = given.target_modules if given else None
    if targets is None and shape.kind is ModelKind.ENCODER:
        targets = adapters.ENCODER_TARGETS
    return Lora(
        rank=hyperparameters.rank(given),
        alpha=hyperparameters.alpha(given),
        dropout=given.dropout if given else 0.0,
        target_modules=targets or adapters.default_targets(shape),
    )


def _warnings(spec: FineTuneJobSpec, method: Method) -> tuple[str, ...]:
    warnings = []
    if method is Method.QLORA:
        warnings.append("qlora on a cpu saves memory, not time: weights are dequantized in every step")
    if spec.checkpoints.storage and spec.checkpoints.storage.ephemeral:
        warnings.append("ephemeral storage goes with the pod: nothing can resume, and artifacts need a destination")
    return tuple(warnings)


def _contradiction(spec: FineTuneJobSpec, shape: ModelShape) -> Refusal | None:
    length = spec.training.sequence_length
    if length and length > shape.max_positions:
        return Refusal(
            Reason.INVALID_SPEC,
            f"spec.training.sequenceLength: {length} tokens, but {shape.name} reads at most {shape.max_positions}",
        )
    if shape.kind is ModelKind.ENCODER and spec.task is not Task.TEXT_CLASSIFICATION:
        return Refusal(
            Reason.UNSUPPORTED,
            f"spec.task: {spec.task.value} needs a model that generates, and {shape.name} is an encoder; "
            "take a causal language model or task text-classification",
        )
    if spec.training.batch_size % (spec.training.micro_batch_size or 1):
        return Refusal(
            Reason.INVALID_SPEC,
            f"spec.training.microBatchSize: {spec.training.micro_batch_size} does not divide "
            f"batchSize {spec.training.batch_size}",
        )
    return None


def _unknown_model(name: str) -> Refusal:
    like = catalog.nearest(name)
    hint = f"did you mean {' or '.join(like)}?" if like else "no name in it is like this one."
    known = ", ".join(model.name for model in catalog.models())
    return Refusal(
        Reason.UNKNOWN_MODEL, f"spec.model.name: '{name}' is not in the catalog; {hint} The catalog has: {known}"
    )


def _does_not_fit(spec: FineTuneJobSpec, profiles: Profiles, shape: ModelShape, length: int) -> Refusal:
    budget = profiles.cpu.memory_bytes
    asked = Method.LORA if spec.technique.method is Method.AUTO else spec.technique.method
    need = {
        method: request_bytes(estimate(shape, smallest(spec=spec, shape=shape, method=method, length=length)))
        for method in (Method.QLORA, Method.LORA, Method.FULL)
    }
    ways = [f"method {method.value} ({readable(size)})" for method, size in need.items() if size <= budget]
    way_out = f"what fits: {', '.join(ways)}" if ways else "no method fits; take a smaller model or a larger node"
    return Refusal(
        Reason.DOES_NOT_FIT,
        f"{shape.name} with method {asked.value} needs {readable(need[asked])} at least, "
        f"a cpu pod may have {readable(budget)}; {way_out}",
    )
