"""Which methods `auto` tries, in which order, and what speaks for each; `candidates` is the entry.

Not here: the table of what serves which scenario (`planning.catalog.techniques`), whether a method fits.
"""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.technique import Goal, Method, QuantizationType
from finetune_operator.planning.catalog import Technique, scenarios_of_goal, serves_goal
from finetune_operator.planning.memory.workload import Sharding

ASKED = "asked for"

USUAL = {
    Method.LORA: "trains a small part of the weights, and the adapter is a few megabytes",
    Method.QLORA: "lora does not fit here; with 4-bit weights the model does",
}

BY_GOAL = {
    Goal.QUALITY: {
        Method.FULL: "goal quality: every weight learns",
        Method.DORA: "goal quality: closest to full fine-tuning, which does not fit",
        Method.LORA: "goal quality: neither full nor dora fit",
        Method.QDORA: "goal quality: with 4-bit weights dora fits",
        Method.QLORA: "goal quality: nothing larger fits",
    },
    Goal.REDUCE_COST: {
        Method.LORA: "goal reduce-cost: no weight gradients to compute, and no dequantizing",
        Method.QLORA: "goal reduce-cost: 4-bit weights fit on a cheaper device",
    },
    Goal.REDUCE_MEMORY: {
        Method.QLORA: "goal reduce-memory: 4-bit weights, and only an adapter learns",
        Method.DORA: "goal reduce-memory: the table's next choice where quantization is ruled out",
    },
    Goal.FEWER_PARAMETERS: {
        Method.PEFT: "goal fewer-parameters: ia3 trains a few vectors a layer",
        Method.QLORA: "goal fewer-parameters: an adapter on 4-bit weights",
        Method.DORA: "goal fewer-parameters: an adapter of low rank and one magnitude an output",
    },
    Goal.AGGREGATE_GPU_MEMORY: {
        Method.FULL: "goal aggregate-gpu-memory: sharded over all devices every weight can learn",
        Method.DORA: "goal aggregate-gpu-memory: full does not fit even sharded",
        Method.LORA: "goal aggregate-gpu-memory: neither full nor dora fit even sharded",
    },
}
"""Methods by goal, in the order in which they are tried."""

TECHNIQUES = {
    Method.LORA: Technique.LORA,
    Method.QLORA: Technique.QLORA,
    Method.DORA: Technique.DORA,
    Method.QDORA: Technique.QLORA,
    Method.PEFT: Technique.PEFT,
}
"""The table's column for a method; full fine-tuning is served by DeepSpeed and ZeRO and has none of its own."""


POOLING = frozenset({Strategy.DEEPSPEED, Strategy.FSDP})
"""Strategies that serve aggregate-gpu-memory, whatever the method."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A method to try, and what speaks for it."""

    method: Method
    reason: str


def candidates(spec: FineTuneJobSpec) -> tuple[Candidate, ...]:
    """Return the methods to try, first choice first."""
    technique = spec.technique
    if technique.method is not Method.AUTO:
        return (Candidate(technique.method, ASKED),)
    order = BY_GOAL[technique.goals[0]] if technique.goals else USUAL
    rest = technique.goals[1:]
    found = tuple(
        Candidate(method, reason)
        for method, reason in order.items()
        if allowed(spec, method) and all(_serves(method, goal, pooled=True) for goal in rest)
    )
    return found or tuple(Candidate(method, reason) for method, reason in order.items() if allowed(spec, method))


def unserved_goals(spec: FineTuneJobSpec, method: Method, sharding: Sharding) -> tuple[Goal, ...]:
    """Return the goals that a chosen method and the sharding under it do not serve, by the table."""
    pooled = sharding.strategy in POOLING
    return tuple(goal for goal in spec.technique.goals if not _serves(method, goal, pooled=pooled))


def against(goal: Goal, column: Technique | None) -> str:
    """Say what to take towards a goal instead of a technique that does not serve it, and why; nothing where it does.

    None stands for full fine-tuning, which has no column.
    """
    rows = (row for row in scenarios_of_goal(goal) if column not in row.serves)
    return "; ".join(f"take {_one_of(row.serves)}: {' '.join(row.because.split())}" for row in rows)


def _one_of(techniques: tuple[Technique, ...]) -> str:
    *rest, last = (technique.value for technique in techniques)
    return f"{', '.join(rest)} or {last}"


def allowed(spec: FineTuneJobSpec, method: Method) -> bool:
    """Return whether the spec leaves a method open: `quantization.type: none` and `lora` each rule some out."""
    technique = spec.technique
    quantization = technique.quantization
    if method in {Method.QLORA, Method.QDORA} and quantization and quantization.type is QuantizationType.NONE:
        return False
    return technique.lora is None or method not in {Method.FULL, Method.PEFT}


def _serves(method: Method, goal: Goal, *, pooled: bool) -> bool:
    """Return whether the table says yes. Full fine-tuning has no column; quality is a matter of the methods' order."""
    if goal is Goal.QUALITY or (goal is Goal.AGGREGATE_GPU_MEMORY and pooled):
        return True
    column = TECHNIQUES.get(method)
    return column is not None and serves_goal(column, goal)
