"""Says of a plan what was chosen, why, and what that saves; `choices` and `warnings` are the entries.

Not here: choosing (`planning.search`, `planning.methods`, `planning.hyperparameters`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.technique import Goal, Method
from finetune_operator.planning import catalog, hyperparameters, methods
from finetune_operator.planning.catalog import Confidence, Technique
from finetune_operator.planning.duration import Duration
from finetune_operator.planning.memory.estimate import readable
from finetune_operator.planning.memory.workload import ALONE
from finetune_operator.planning.search.fitting import (
    QUANTIZED,
    Fit,
    Question,
    divides_quantized,
    of_size,
    predict,
    step,
    writing_bytes,
)

DAY_SECONDS = 86_400
LONG_SECONDS = 7 * DAY_SECONDS
"""A run of more than a week is most likely not what anybody wants."""

SHORT_HISTOGRAM = "dataset.tokens.rows or training.maxSteps"


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision and its reason; `name` is the spec's word for it."""

    name: str
    value: str
    reason: str


def choices(
    found: Fit, *, method_reason: str, length_reason: str, rate: tuple[float, str], time: Duration
) -> tuple[Choice, ...]:
    """Return every choice of a plan, in the order in which they depend on each other."""
    question, work = found.question, found.workload
    asked = question.spec.training.precision is not None
    precision = hyperparameters.precision_reason(question.precision, question.machine, question.method)
    terms = ", ".join(f"{name} {readable(size)}" for name, size in found.estimate.terms)
    beside = "" if question.machine.is_cpu else f"; the pod asks for {readable(found.host_bytes)} beside the devices"
    if (writing := writing_bytes(question, work)) > 0:
        beside += f"; writing ONNX takes {readable(writing)} of the pod's memory when training is over"
    return (
        Choice("technique.method", question.method.value, _with(method_reason, _saved_by_method(found))),
        Choice("training.precision", question.precision.value, methods.ASKED if asked else precision),
        Choice("distribution", _shared(question), _with(_why_shared(question), _saved_by_sharding(found))),
        Choice("training.sequenceLength", str(work.sequence_length), length_reason),
        Choice("training.microBatchSize", str(work.micro_batch_size), _why_batch(found)),
        Choice(
            "training.gradientCheckpointing",
            str(work.gradient_checkpointing).lower(),
            _with(_why_checkpointing(found), _saved_by_checkpointing(found)),
        ),
        Choice("training.learningRate", f"{rate[0]:g}", rate[1]),
        Choice("memory", readable(found.estimate.peak), f"predicted peak of one process: {terms}{beside}"),
        Choice("time", f"{time.step_seconds:.3g} s a step", _why_time(found, time)),
    )


def warnings(found: Fit, time: Duration) -> tuple[str, ...]:
    """Return what a person should read before the job runs."""
    spec, question = found.question.spec, found.question
    said = []
    if question.machine.is_cpu and question.method in QUANTIZED:
        said.append(f"{question.method.value} on a cpu saves memory, not time: weights are dequantized in every step")
    if question.method in QUANTIZED:
        said.append("merging the adapter into unquantized weights changes the outputs a little (quantization error)")
    if question.sharding.offload_optimizer:
        said.append("offloading makes every step wait for the node's processors and memory")
    if question.machine.accelerator.confidence is Confidence.LOW and not question.machine.is_cpu:
        said.append(f"time: no published fine-tuning figures for {question.machine.accelerator.name}; a wide range")
    if time.high is not None and time.high > LONG_SECONDS:
        said.append(f"this takes up to {time.high / DAY_SECONDS:.0f} days; take a faster accelerator or fewer steps")
    if time.steps is None:
        said.append(f"time and cost are unknown without {SHORT_HISTOGRAM}")
    if found.workload.sequence_length > found.question.shape.max_positions:
        said.append(
            f"{found.workload.sequence_length} tokens are more than the {found.question.shape.max_positions} that the "
            "model was trained to read; expect worse answers beyond them"
        )
    said.extend(_assumed(question))
    said.extend(_unserved(question))
    if spec.checkpoints.storage and spec.checkpoints.storage.ephemeral:
        said.append("ephemeral storage goes with the pod: nothing can resume, and artifacts need a destination")
    return tuple(said)


def _assumed(question: Question) -> Iterator[str]:
    """Say what the memory of the plan takes for granted."""
    if not catalog.is_known(question.shape.model_type):
        yield (
            f"unknown architecture {question.shape.model_type} computed as a Llama-like decoder: its own modules may "
            "need more or less"
        )
    if catalog.runs_own_code(question.shape.model_type):
        yield (
            f"{question.shape.name} is loaded by running code that comes with it, which this project's trainer never "
            "does: the plan is of software that does"
        )
    if divides_quantized(question.method, question.sharding):
        yield (
            "this project's trainer does not divide quantized weights: the plan is of software that does, such as "
            "bitsandbytes with FSDP or ZeRO stage 3"
        )


def _unserved(question: Question) -> Iterator[str]:
    """Say which goals method and sharding do not serve, by the table, and what does."""
    spec = question.spec
    for goal in methods.unserved_goals(spec, question.method, question.sharding):
        instead = methods.against(goal, methods.TECHNIQUES.get(question.method))
        yield f"goal {goal.value} is not served by {question.method.value}; {instead}"
    if spec.distribution.strategy is Strategy.DEEPSPEED:
        column = Technique.ZERO if question.sharding.stage else Technique.DEEPSPEED
        for goal in spec.technique.goals:
            if instead := methods.against(goal, column):
                yield f"goal {goal.value} is not served by {column.value}; {instead}"


def _with(reason: str, saves: str) -> str:
    return f"{reason}; {saves}" if saves else reason


def _saves(found: Fit, other: Question, *, checkpointing: bool, words: str) -> str:
    """Say how much less memory the plan needs than another way of the same job; nothing where it is not less."""
    work = of_size(other, step(other), found.workload.micro_batch_size, checkpointing=checkpointing)
    saved = predict(other, work).peak - found.estimate.peak
    return f"saves {readable(saved)} against {words}" if saved > 0 else ""


def _saved_by_method(found: Fit) -> str:
    if found.question.method is Method.FULL:
        return ""
    full = replace(found.question, method=Method.FULL)
    return _saves(found, full, checkpointing=found.workload.gradient_checkpointing, words="full")


def _saved_by_checkpointing(found: Fit) -> str:
    if not found.workload.gradient_checkpointing:
        return ""
    return _saves(found, found.question, checkpointing=False, words="keeping them")


def _saved_by_sharding(found: Fit) -> str:
    sharding = found.question.sharding
    if sharding.stage == 0:
        return ""
    alone = replace(found.question, sharding=ALONE, devices_per_node=1)
    return _saves(found, alone, checkpointing=found.workload.gradient_checkpointing, words="one device alone")


def _shared(question: Question) -> str:
    sharding = question.sharding
    words = sharding.strategy.value
    if sharding.strategy is Strategy.DEEPSPEED:
        words = f"deepspeed, ZeRO stage {sharding.stage}"
    parts = {"optimizer": sharding.offload_optimizer, "parameters": sharding.offload_parameters}
    moved = [name for name, is_moved in parts.items() if is_moved]
    words += f", {' and '.join(moved)} offloaded" if moved else ""
    return f"{words} on {question.nodes} x {question.devices_per_node} {question.machine.accelerator.key}"


def _why_shared(question: Question) -> str:
    asked, sharding = question.spec.distribution, question.sharding
    if asked.strategy is not Strategy.AUTO:
        return methods.ASKED
    if sharding.strategy is Strategy.NONE:
        return "one device holds the job"
    if sharding.strategy is Strategy.DDP:
        return "a whole copy fits on each device, so only gradients are exchanged"
    if sharding.offload_parameters:
        return "the devices together do not hold the states; parameters and optimizer lie in the node's memory"
    if sharding.offload_optimizer:
        return "the devices together do not hold the states; the optimizer lies in the node's memory"
    return "a whole copy does not fit on each device; the lowest stage that does"


def _why_time(found: Fit, time: Duration) -> str:
    accelerator = found.question.machine.accelerator
    if found.question.machine.is_cpu:
        return "by the processors, measured on small models"
    steps = "" if time.steps is None else f"{time.steps} steps; "
    return f"{steps}{accelerator.utilization:.0%} of {accelerator.name}'s dense peak, as fine-tuning reaches"


def _why_batch(found: Fit) -> str:
    training, devices = found.question.spec.training, found.question.sharding.devices
    if training.micro_batch_size:
        return methods.ASKED
    size, count = found.workload.micro_batch_size, found.workload.accumulation
    on = f" on {devices} devices" if devices > 1 else ""
    if count == 1:
        return f"the whole batch of {training.batch_size} rows fits at once{on}"
    speed = "the largest that fits" if found.question.machine.is_cpu else "larger ones do not fit or are no faster"
    return f"{speed}; {count} of {size}{on} make one step of {training.batch_size} rows"


def _why_checkpointing(found: Fit) -> str:
    spec, checkpointing = found.question.spec, found.workload.gradient_checkpointing
    if spec.training.gradient_checkpointing is not None:
        return methods.ASKED
    if not checkpointing:
        return "activations fit; recomputing them would only cost time"
    if Goal.REDUCE_MEMORY in spec.technique.goals:
        return "goal reduce-memory: activations are computed again, a third more work"
    return "activations of so many rows do not fit without it, and of fewer rows a step would take longer"
