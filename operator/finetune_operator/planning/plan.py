"""Decides how a job runs before a pod is started; `plan` is the entry, `Plan` or `Refusal` the answer.

`descend` plans the job again after memory ran out in spite of its plan.

Not here: the pod made of it (`manifests`), the wording in status (`status`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.technique import Lora, Method, Peft, Quantization
from finetune_operator.api.v1alpha1.training import Precision
from finetune_operator.planning import checks, explanation, hyperparameters, machines, methods
from finetune_operator.planning.catalog import ModelShape
from finetune_operator.planning.duration import Duration, duration, steps
from finetune_operator.planning.explanation import Choice
from finetune_operator.planning.machines import Machine
from finetune_operator.planning.memory.adapters.lora import ALL_LINEAR, default_targets
from finetune_operator.planning.memory.estimate import MIB, MemoryEstimate, readable
from finetune_operator.planning.memory.states import trainable
from finetune_operator.planning.memory.workload import TRAINER, Sharding, Stack
from finetune_operator.planning.profiles import Profiles
from finetune_operator.planning.refusal import Nearest, Refusal
from finetune_operator.planning.search.alternatives import alternatives
from finetune_operator.planning.search.first import Job, first, questions
from finetune_operator.planning.search.fitting import (
    QUANTIZED,
    Fit,
    Question,
    needed_beside,
    pod_bytes,
    predict,
    request_bytes,
    run,
    smallest,
    smallest_step,
    step,
    writing_bytes,
)
from finetune_operator.planning.search.ladder import Rung, aside, ladder

RAN_OUT = "memory ran out with the method that was planned first"

RAISE = 1.5
"""Factor by which the memory limit of a pod grows when it was too small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a run needs that the user may have left open. Memory in bytes, lengths in tokens."""

    shape: ModelShape
    method: Method
    accelerator: str
    machine: Machine
    devices_per_node: int
    nodes: int
    sharding: Sharding
    precision: Precision
    lora: Lora | None
    peft: Peft | None
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
    limit_bytes: int
    """What one process may use of its device; on a CPU of the pod's memory."""
    memory_bytes: int
    """What the pod asks for and is limited to."""
    duration: Duration
    choices: tuple[Choice, ...]
    warnings: tuple[str, ...]
    ladder: tuple[str, ...]
    """What changes, step by step, if memory runs out in spite of the plan."""
    change: str = ""
    """What the last step down changed."""

    @property
    def devices(self) -> int:
        """Devices of all pods; on a CPU the pods themselves."""
        return self.sharding.devices


@dataclass(frozen=True, slots=True)
class Descent:
    """How far a plan gave way when memory ran out: the rung it stands on, and raises of the pod's memory limit.

    Rungs are counted down the ladder and on through those beside it, which leave a checkpoint readable.
    """

    rung: int = 0
    memory_raises: int = 0


AS_PLANNED = Descent()


def plan(
    spec: FineTuneJobSpec, profiles: Profiles, *, stack: Stack = TRAINER, shape: ModelShape | None = None
) -> Plan | Refusal:
    """Return the plan of a job, or why there is none.

    `stack` says how the training software computes, where a run of other software is planned again; `shape` is a model
    read from its own config.json.
    """
    found = _found(spec, profiles, stack=stack, shape=shape)
    return found if isinstance(found, Refusal) else _complete(*found)


def descend(spec: FineTuneJobSpec, profiles: Profiles, taken: Descent) -> Plan | Refusal | None:
    """Return the plan after so many steps down, of the same effective batch; None where there is no such step.

    The pod's memory limit never shrinks: what ran out once is not made smaller.
    """
    if taken == AS_PLANNED:
        return plan(spec, profiles)
    found = _found(spec, profiles)
    if isinstance(found, Refusal):
        return found
    job, first_fit = found
    down = ladder(first_fit)
    rungs = (*down, *aside(first_fit))
    if taken.rung > len(rungs):
        return None
    fitted = _on(rungs[taken.rung - 1], first_fit) if taken.rung else first_fit
    limit = _raised(fitted.host_bytes, taken.memory_raises, fitted.question.machine.host_bytes)
    if limit is None:
        return None
    planned = _complete(job, replace(fitted, host_bytes=limit))
    below = down if taken.rung <= len(down) else rungs
    change = rungs[taken.rung - 1].change if taken.rung else ""
    return replace(planned, ladder=tuple(rung.change for rung in below[taken.rung :]), change=change)


def _on(rung: Rung, first_fit: Fit) -> Fit:
    predicted = predict(rung.question, rung.workload)
    needs = pod_bytes(rung.question, rung.workload, predicted)
    return Fit(
        question=rung.question,
        workload=rung.workload,
        estimate=predicted,
        host_bytes=max(first_fit.host_bytes, min(needs, rung.question.machine.host_bytes)),
    )


def _raised(limit: int, raises: int, most: int) -> int | None:
    """Return a limit after so many raises, at most what the machine has; None where it had all of that before."""
    for _ in range(raises):
        if limit >= most:
            return None
        limit = min(request_bytes(round(limit * RAISE)), most)
    return limit


def _found(
    spec: FineTuneJobSpec, profiles: Profiles, *, stack: Stack = TRAINER, shape: ModelShape | None = None
) -> tuple[Job, Fit] | Refusal:
    """Return the way in which a job is to run, or why there is none."""
    model = shape or checks.shape(spec)
    if isinstance(model, Refusal):
        return model
    offered = machines.machines(spec.hardware, profiles)
    if isinstance(offered, Refusal):
        return offered
    job = Job(spec=spec, shape=model, profiles=profiles, stack=stack)
    possible = tuple(one for one in offered if checks.contradiction(spec, model, one, stack) is None)
    if not possible:
        refused = checks.contradiction(spec, model, offered[0], stack) if offered else None
        nothing = Refusal(Reason.UNKNOWN_HARDWARE, "spec.hardware: nothing is offered that could train")
        return _estimated(job, refused, offered[0]) if refused else nothing
    found = [fitting for machine in possible if (fitting := first(job, machine)) is not None]
    if not found:
        return _refusal(job, possible)
    return job, min(found, key=lambda pair: (pair[0], _cost(job, pair[1])))[1]


def _cost(job: Job, found: Fit) -> tuple[float, float]:
    """Return what a step costs, and how long it takes, to choose the cheaper machine."""
    machine, question = found.question.machine, found.question
    seconds = _duration(job, found).step_seconds
    price = machine.price(question.devices_per_node, question.nodes, found.host_bytes)
    return (float("inf") if price is None else price * seconds), seconds


def _complete(job: Job, found: Fit) -> Plan:
    """Return the whole plan."""
    spec, work, question = job.spec, found.workload, found.question
    method = question.method
    asked_rate = spec.training.learning_rate
    rate = (asked_rate, methods.ASKED) if asked_rate else hyperparameters.learning_rate(method, spec.technique.peft)
    epochs, max_steps = _until(spec)
    time = _duration(job, found)
    return Plan(
        shape=job.shape,
        method=method,
        accelerator=question.machine.accelerator.key,
        machine=question.machine,
        devices_per_node=question.devices_per_node,
        nodes=question.nodes,
        sharding=question.sharding,
        precision=question.precision,
        lora=_lora(job, method),
        peft=(spec.technique.peft or hyperparameters.AUTOMATIC_PEFT) if method is Method.PEFT else None,
        quantization=(spec.technique.quantization or Quantization()) if method in QUANTIZED else None,
        epochs=epochs,
        max_steps=max_steps,
        learning_rate=rate[0],
        sequence_length=work.sequence_length,
        micro_batch_size=work.micro_batch_size,
        gradient_accumulation_steps=work.accumulation,
        gradient_checkpointing=work.gradient_checkpointing,
        trainable_parameters=trainable(job.shape, work),
        memory=found.estimate,
        limit_bytes=question.machine.device_bytes,
        memory_bytes=found.host_bytes,
        duration=time,
        choices=explanation.choices(
            found,
            method_reason=next((c.reason for c in methods.candidates(spec) if c.method is method), RAN_OUT),
            length_reason=job.length[1],
            rate=rate,
            time=time,
        ),
        warnings=explanation.warnings(found, time),
        ladder=tuple(rung.change for rung in ladder(found)),
    )


def _refusal(job: Job, possible: tuple[Machine, ...]) -> Refusal:
    """Return by how much the job misses where it misses least, and what would fit."""
    wanted = methods.candidates(job.spec)[0].method
    asked = [one for machine in possible for one in questions(job, machine) if one.method is wanted]
    if not asked:
        words = f"spec.distribution: what is asked for cannot divide the quantized weights of {wanted.value}, which "
        words += "spec.technique.goals lead to; set strategy: ddp, or a method: that keeps weights whole"
        return _estimated(job, Refusal(Reason.UNSUPPORTED, words), possible[0])
    question = min(asked, key=_missing)
    others = alternatives(job, question.machine)
    ways_out = " or ".join(f"{one.change} ({readable(one.predicted_bytes)})" for one in others)
    nothing = "nothing that is offered holds it; take a smaller model or shorter rows"
    refused = Refusal(
        Reason.DOES_NOT_FIT,
        f"{question.shape.name} with method {question.method.value} {_need(question)}; "
        + (f"what fits: {ways_out}" if ways_out else nothing),
        alternatives=others,
    )
    return _with_least(refused, question)


def _estimated(job: Job, refused: Refusal, machine: Machine) -> Refusal:
    """Return the refusal with what software would need that can do more than this project's trainer."""
    able = replace(job, stack=replace(job.stack, shards_quantized=True))
    if checks.contradiction(job.spec, job.shape, machine, able.stack) is not None:
        return refused
    nearest = min(questions(able, machine), key=_missing, default=None)
    return refused if nearest is None else _with_least(refused, nearest)


def _with_least(refused: Refusal, question: Question) -> Refusal:
    """Return the refusal with what the job needs at least in that way, and how it would be run."""
    work, least = smallest_step(question)
    nearest = Nearest(
        model=question.shape.name,
        accelerator=question.machine.accelerator.key,
        devices_per_node=question.devices_per_node,
        workload=work,
    )
    return replace(refused, least=least, limit_bytes=question.machine.device_bytes, nearest=nearest)


def _missing(question: Question) -> tuple[int, int]:
    """Return by how many bytes a way misses its device, and its node."""
    beside = needed_beside(question) - question.machine.host_bytes
    return max(0, smallest(question).peak - question.machine.device_bytes), max(0, beside)


def _need(question: Question) -> str:
    """Say what the job needs at least and what there is."""
    machine, devices = question.machine, question.sharding.devices
    need, limit = smallest(question).peak, machine.device_bytes
    if need <= limit:
        beside = needed_beside(question)
        if request_bytes(writing_bytes(question, step(question))) == beside:
            return (
                f"could be trained, but writing it for ONNX Runtime takes {readable(beside)} of the pod's memory, "
                f"which may have {readable(machine.host_bytes)}: leave onnx out of output.formats"
            )
        return (
            f"fits on the devices, but its pod needs {readable(beside)} of the node's memory beside them and may have "
            f"{readable(machine.host_bytes)}"
        )
    each = f" on each of {devices} devices" if devices > 1 else ""
    where = "a cpu pod" if machine.is_cpu else machine.accelerator.name
    missing = readable(max(need - limit, MIB))  # less than one would be written as none
    return f"needs {readable(need)} at least{each}, {where} may have {readable(limit)}: {missing} too little"


def _until(spec: FineTuneJobSpec) -> tuple[float | None, int | None]:
    training = spec.training
    return (None if training.max_steps else training.epochs or 1.0), training.max_steps


def _duration(job: Job, found: Fit) -> Duration:
    tokens, (epochs, max_steps) = job.spec.dataset.tokens, _until(job.spec)
    count = steps(
        rows=tokens.rows if tokens else None,
        batch=job.spec.training.batch_size,
        epochs=epochs,
        max_steps=max_steps,
    )
    return duration(job.shape, found.workload, found.question.machine, run(found.question, found, count))


def _lora(job: Job, method: Method) -> Lora | None:
    if method in {Method.FULL, Method.PEFT}:
        return None
    given = job.spec.technique.lora or Lora()
    targets = given.target_modules or default_targets(job.shape)
    return given.model_copy(
        update={
            "rank": hyperparameters.rank(given),
            "alpha": hyperparameters.alpha(given),
            "target_modules": targets if ALL_LINEAR not in targets else (ALL_LINEAR,),
        }
    )
