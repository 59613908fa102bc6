"""What would fit in place of a job that does not: another technique, accelerator or step, more devices; cheapest first.

Every one is planned as the changed job would be, so that what is offered really fits.

Not here: the job's own plan (`planning.plan`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from finetune_operator.api.v1alpha1.hardware import Distribution, Hardware
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.technique import LoraVariant, Method
from finetune_operator.planning import checks, methods
from finetune_operator.planning.machines import Machine, everything, machines
from finetune_operator.planning.refusal import Alternative, Refusal
from finetune_operator.planning.search.first import Job, first, large_enough

METHODS = (Method.LORA, Method.QLORA)
"""Techniques that are offered in place of a larger one."""

BARRED = {Method.LORA: LoraVariant.LOFTQ, Method.QLORA: LoraVariant.PISSA}
"""Ways to start an adapter that a technique cannot have: one makes up for quantization, one does not survive it."""

MOST = 3
FREE = Distribution()


@dataclass(frozen=True, slots=True)
class Change:
    """Another job, what to write for it, and whether it stays on the machine that was asked for."""

    spec: FineTuneJobSpec
    words: str
    stays: bool


def alternatives(job: Job, machine: Machine) -> tuple[Alternative, ...]:
    """Return up to three things that fit, one of each kind where there is one: first what stays, then by price.

    Where no single change is enough, a smaller technique on other hardware is.
    """
    kinds = (
        _other_methods(job, machine),
        _more_devices(job, machine),
        _other_machines(job, machine),
        _smaller_steps(job, machine),
    )
    found = [[one for one in kind if one is not None] for kind in kinds]
    best = [min(kind, key=_cost) for kind in found if kind]
    rest = sorted((one for kind in found for one in kind if one not in best), key=_cost)
    return tuple(sorted([*best, *rest][:MOST], key=_cost)) or _both(job, machine)


def _both(job: Job, machine: Machine) -> tuple[Alternative, ...]:
    """Return the smallest technique on other hardware, cheapest first."""
    if not _open(job, Method.QLORA):
        return ()
    words = f"technique.method: {Method.QLORA.value}, "
    quantized = replace(job, spec=_of_method(job.spec, Method.QLORA))
    found = (one for one in _other_machines(quantized, machine, words) if one is not None)
    return tuple(sorted(found, key=_cost)[:MOST])


def _cost(alternative: Alternative) -> tuple[bool, float, int]:
    price = alternative.price_per_hour
    return not alternative.stays, float("inf") if price is None else price, alternative.predicted_bytes


def _other_methods(job: Job, machine: Machine) -> Iterator[Alternative | None]:
    for method in METHODS:
        if _open(job, method):
            words = f"technique.method: {method.value}"
            yield _planned(job, machine, Change(_of_method(job.spec, method), words, stays=True))


def _open(job: Job, method: Method) -> bool:
    """Whether the job is of another method and could be of this one."""
    technique = job.spec.technique
    barred = technique.lora is not None and technique.lora.variant is BARRED[method]
    return method is not technique.method and methods.allowed(job.spec, method) and not barred


def _of_method(spec: FineTuneJobSpec, method: Method) -> FineTuneJobSpec:
    technique = spec.technique.model_copy(update={"method": method, "goals": (), "peft": None})
    return spec.model_copy(update={"technique": technique})


def _smaller_steps(job: Job, machine: Machine) -> Iterator[Alternative | None]:
    """Return the job with what it had fixed about its steps left to memory: a row at a time, or checkpointing."""
    training = job.spec.training
    changes: dict[str, dict[str, int | bool]] = {}
    if (training.micro_batch_size or 1) > 1:
        changes["training.microBatchSize: 1"] = {"micro_batch_size": 1}
    if training.gradient_checkpointing is False:
        changes["training.gradientCheckpointing: true"] = {"gradient_checkpointing": True}
    for words, update in changes.items():
        spec = job.spec.model_copy(update={"training": training.model_copy(update=update)})
        yield _planned(job, machine, Change(spec, words, stays=True))


def _more_devices(job: Job, machine: Machine) -> Iterator[Alternative | None]:
    """Return the same machine with as many devices as it takes, where the job had fixed their number or their use."""
    asked = job.spec.hardware
    if machine.is_cpu or (asked.devices_per_node is None and job.spec.distribution == FREE):
        return
    free = asked.model_copy(update={"devices_per_node": None, "nodes": None})
    for offered in _resolved(free, job):
        spec = job.spec.model_copy(update={"hardware": free, "distribution": FREE})
        yield _planned(job, offered, Change(spec, f"hardware: {{{_name(offered)}}}", stays=True))


def _other_machines(job: Job, machine: Machine, words: str = "") -> Iterator[Alternative | None]:
    free = replace(job, spec=job.spec.model_copy(update={"hardware": Hardware(), "distribution": FREE}), offloads=False)
    for offered in large_enough(free, everything(Hardware(), job.profiles)):
        if offered.name != machine.name:
            key = {"profile": offered.profile} if offered.profile else {"accelerator": offered.accelerator.key}
            spec = free.spec.model_copy(update={"hardware": Hardware.model_validate(key)})
            yield _planned(job, offered, Change(spec, f"{words}hardware: {{{_name(offered)}}}", stays=False))


def _resolved(hardware: Hardware, job: Job) -> tuple[Machine, ...]:
    found = machines(hardware, job.profiles)
    return () if isinstance(found, Refusal) else found


def _name(machine: Machine) -> str:
    if machine.profile:
        return f"profile: {machine.profile}"
    return f"instanceType: {machine.name}" if machine.instance else f"accelerator: {machine.name}"


def _planned(job: Job, machine: Machine, change: Change) -> Alternative | None:
    """Plan the changed job."""
    changed = replace(job, spec=change.spec, offloads=False)  # too slow to be worth a recommendation
    if checks.contradiction(change.spec, job.shape, machine, job.stack) is not None:
        return None
    found = first(changed, machine)
    if found is None:
        return None
    fit = found[1]
    question = fit.question
    words = change.words
    if question.sharding.devices > 1 and words.endswith("}"):
        words = words.removesuffix("}") + f", devicesPerNode: {question.devices_per_node}}}"
    if job.spec.distribution != FREE and change.spec.distribution == FREE:
        words += " without distribution"
    return Alternative(
        change=words,
        predicted_bytes=fit.estimate.peak,
        limit_bytes=machine.device_bytes,
        price_per_hour=machine.price(question.devices_per_node, question.nodes, fit.host_bytes),
        stays=change.stays,
    )
