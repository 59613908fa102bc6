"""A plan or a refusal as plain values for programs: what `-o json` and `-o yaml` write; `record` is the entry.

Memory is that of one device, in bytes; on a cpu that of the pod. Every key is there in every answer, with null where
there is nothing to say.

Not here: what people read (`runtime.commands.presentation`).
"""

from __future__ import annotations

from typing import Any

from finetune_operator.api.v1alpha1.hardware import OffloadTarget, Strategy
from finetune_operator.planning.memory.estimate import MemoryEstimate
from finetune_operator.planning.memory.workload import Sharding
from finetune_operator.planning.plan import Plan
from finetune_operator.planning.refusal import Nearest, Refusal

Record = dict[str, Any]

CENTS = 2
TENTHS = 1


def record(name: str, answer: Plan | Refusal) -> Record:
    """Return everything that is known of a job's plan."""
    if isinstance(answer, Plan):
        return {"job": name, "fits": True, **_chosen(answer), **_predicted(answer), **_explained(answer)}
    return {
        "job": name,
        "fits": False,
        **_asked(answer.nearest),
        "memory": _memory(answer.least, answer.limit_bytes, None),
        **dict.fromkeys(PREDICTED),
        "reasons": [],
        "warnings": [],
        "ladder": [],
        "alternatives": [
            {
                "change": one.change,
                "predictedBytes": one.predicted_bytes,
                "limitBytes": one.limit_bytes,
                "pricePerHour": one.price_per_hour,
            }
            for one in answer.alternatives
        ],
        "refusal": {"reason": answer.reason.value, "message": answer.message},
    }


CHOSEN = (
    "model",
    "method",
    "precision",
    "microBatchSize",
    "gradientAccumulation",
    "gradientCheckpointing",
    "strategy",
    "zeroStage",
    "offload",
    "devices",
    "devicesPerNode",
    "nodes",
    "accelerator",
    "sequenceLength",
    "learningRate",
)
PREDICTED = ("seconds", "cost", "trainableParameters", "totalParameters")


def _chosen(plan: Plan) -> Record:
    return {
        "model": plan.shape.name,
        "method": plan.method.value,
        "precision": plan.precision.value,
        "microBatchSize": plan.micro_batch_size,
        "gradientAccumulation": plan.gradient_accumulation_steps,
        "gradientCheckpointing": plan.gradient_checkpointing,
        **_shared(plan.sharding, plan.devices_per_node),
        "accelerator": plan.accelerator,
        "sequenceLength": plan.sequence_length,
        "learningRate": plan.learning_rate,
    }


def _asked(nearest: Nearest | None) -> Record:
    """Return the choices of a job that is refused: those of the way that misses by least."""
    if nearest is None:
        return dict.fromkeys(CHOSEN)
    work = nearest.workload
    return {
        "model": nearest.model,
        "method": work.method.value,
        "precision": work.precision.value,
        "microBatchSize": work.micro_batch_size,
        "gradientAccumulation": work.accumulation,
        "gradientCheckpointing": work.gradient_checkpointing,
        **_shared(work.sharding, nearest.devices_per_node),
        "accelerator": nearest.accelerator,
        "sequenceLength": work.sequence_length,
        "learningRate": None,
    }


def _shared(sharding: Sharding, per_node: int) -> Record:
    return {
        "strategy": sharding.strategy.value,
        "zeroStage": sharding.stage if sharding.strategy is Strategy.DEEPSPEED else None,
        "offload": {
            "optimizer": _where(sharding.offload_optimizer),
            "parameters": _where(sharding.offload_parameters),
        },
        "devices": sharding.devices,
        "devicesPerNode": per_node,
        "nodes": sharding.devices // per_node,
    }


def _predicted(plan: Plan) -> Record:
    time = plan.duration
    return {
        "memory": _memory(plan.memory, plan.limit_bytes, plan.memory_bytes),
        "seconds": _between(time.low, time.high, TENTHS),
        "cost": _between(time.cost_low, time.cost_high, CENTS),
        "trainableParameters": plan.trainable_parameters,
        "totalParameters": plan.shape.parameters,
    }


def _explained(plan: Plan) -> Record:
    return {
        "reasons": [{"choice": one.name, "value": one.value, "reason": one.reason} for one in plan.choices],
        "warnings": list(plan.warnings),
        "ladder": list(plan.ladder),
        "alternatives": [],
        "refusal": None,
    }


def _memory(predicted: MemoryEstimate | None, limit: int | None, pod: int | None) -> Record:
    return {
        "predictedBytes": predicted.peak if predicted else None,
        "limitBytes": limit,
        "terms": dict(predicted.terms) if predicted else None,
        "podBytes": pod,
    }


def _where(offloaded: bool) -> str:  # noqa: FBT001 - a word for a flag
    return (OffloadTarget.CPU if offloaded else OffloadTarget.NONE).value


def _between(low: float | None, high: float | None, digits: int) -> Record | None:
    return None if low is None or high is None else {"low": round(low, digits), "high": round(high, digits)}
