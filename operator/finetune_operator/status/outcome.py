"""What the job brought: plan and result in status, from the plan itself and the trainer's report."""

from __future__ import annotations

from finetune_trainer.contract import ExitReport

from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.status import (
    ArtifactStatus,
    Choice,
    MemoryTerm,
    PlanStatus,
    ResultStatus,
    SecondsRange,
)
from finetune_operator.manifests import names
from finetune_operator.planning.duration import Duration
from finetune_operator.planning.plan import Plan


def plan_status(plan: Plan) -> PlanStatus:
    """Return the plan as the user reads it."""
    return PlanStatus(
        method=plan.method.value,
        accelerator=plan.accelerator,
        devices=plan.devices,
        nodes=plan.nodes,
        strategy=plan.sharding.strategy.value,
        zero_stage=plan.sharding.stage if plan.sharding.strategy is Strategy.DEEPSPEED else None,
        precision=plan.precision.value,
        sequence_length=plan.sequence_length,
        gradient_checkpointing=plan.gradient_checkpointing,
        micro_batch_size=plan.micro_batch_size,
        gradient_accumulation_steps=plan.gradient_accumulation_steps,
        memory_bytes=plan.memory_bytes,
        predicted_peak_bytes=plan.memory.peak,
        memory=tuple(MemoryTerm(name=name, bytes=size) for name, size in plan.memory.terms),
        trainable_parameters=plan.trainable_parameters,
        total_parameters=plan.shape.parameters,
        choices=tuple(Choice(name=c.name, value=c.value, reason=c.reason) for c in plan.choices),
        warnings=plan.warnings,
        seconds=_seconds(plan.duration),
        cost=None if plan.duration.cost_high is None else round(plan.duration.cost_high, 2),
        ladder=plan.ladder,
    )


def _seconds(duration: Duration) -> SecondsRange | None:
    if duration.low is None or duration.high is None:
        return None
    return SecondsRange(low=round(duration.low), high=round(duration.high))


def result_status(key: JobKey, spec: FineTuneJobSpec, report: ExitReport) -> ResultStatus:
    """Return the result as the user reads it."""
    root = output_root(key, spec)
    return ResultStatus(
        metrics_before=report.metrics_before,
        metrics_after=report.metrics_after,
        final_loss=report.final_loss,
        trainable_parameters=report.trainable_parameters,
        total_parameters=report.total_parameters,
        trained_tokens=report.trained_tokens,
        peak_memory_bytes=report.peak_memory_bytes,
        train_seconds=report.train_seconds,
        artifacts=tuple(
            ArtifactStatus(kind=a.kind, uri=f"{root}/{a.path}", bytes=a.bytes, sha256=a.sha256)
            for a in report.artifacts
        ),
    )


def output_root(key: JobKey, spec: FineTuneJobSpec) -> str:
    """Return where artifacts can be fetched after the pod is gone."""
    storage = spec.checkpoints.storage
    if storage and storage.ephemeral:
        for claim in (to.claim for to in spec.output.destinations if to.claim):
            return f"pvc://{claim.name}/{claim.path}" if claim.path else f"pvc://{claim.name}"
        return "pod:/"
    if storage and storage.claim:
        below = "/".join(part for part in (storage.claim.path, names.stem(key)) if part)
        return f"pvc://{storage.claim.name}/{below}/output"
    return f"pvc://{names.work_claim(key)}/output"
