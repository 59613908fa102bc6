"""Writes the TrainerRun that the training pod reads, and the annotation of the pod that carries it.

An annotation costs no request of its own, is there when the pod is, and goes with it (docs/adr/0009).
"""

from __future__ import annotations

import typing

from finetune_trainer import contract

from finetune_operator.api import keys
from finetune_operator.api.v1alpha1.dataset import Columns
from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.training import Precision
from finetune_operator.manifests import remote, volumes
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.planning.duration import TERA
from finetune_operator.planning.plan import Plan

VALIDATION_FRACTION = 0.1
"""Rows held out where the spec says nothing about validation."""

TERMINATION_LOG = "/dev/termination-log"


def trainer_run(attempt: Attempt) -> contract.TrainerRun:
    """Return everything the attempt needs to know."""
    key, spec = attempt.key, attempt.spec
    work = volumes.work(key, spec).path
    return contract.TrainerRun(
        schema_version=contract.SCHEMA_VERSION,
        job=contract.JobIdentity(namespace=key.namespace, name=key.name, uid=key.uid, attempt=attempt.number),
        task=spec.task.value,
        model=_model(attempt),
        dataset=_dataset(spec),
        technique=_technique(attempt.plan),
        training=_training(spec, attempt.plan),
        checkpoints=contract.CheckpointSettings(
            directory=f"{work}/checkpoints",
            every_steps=spec.checkpoints.every_steps,
            every_seconds=spec.checkpoints.every_seconds,
            keep=spec.checkpoints.keep,
        ),
        output=contract.OutputSettings(
            directory=f"{work}/output",
            formats=tuple(kind.value for kind in spec.output.formats),
            copies=tuple(mount.path for mount in volumes.destinations(spec)),
        ),
        evaluation=contract.EvaluationSettings(
            every_steps=spec.evaluation.every_steps,
            baseline=spec.evaluation.baseline,
            metrics=tuple(metric.value for metric in spec.evaluation.metrics),
            best=spec.evaluation.best.value if spec.evaluation.best else None,
        ),
        reporting=contract.ReportingSettings(
            port=contract.PROGRESS_PORT, termination_log=TERMINATION_LOG, peak_flops=_peak_flops(attempt.plan)
        ),
        distribution=_distribution(attempt.plan),
        cache_directory=f"{work}/cache",
        choices=tuple(
            contract.Choice(name=choice.name, value=choice.value, reason=choice.reason)
            for choice in attempt.plan.choices
        ),
    )


def pod_annotations(attempt: Attempt) -> dict[str, str]:
    """Return the annotations that an attempt's pods find their run in."""
    return {keys.ANNOTATION_RUN: contract.to_json(trainer_run(attempt))}


def _peak_flops(plan: Plan) -> float | None:
    """Return the dense peak of all devices; a CPU has none that the catalog knows."""
    precision: typing.Literal["fp32", "half"] = "fp32" if plan.precision is Precision.FP32 else "half"
    tflops = plan.machine.accelerator.tflops_of(precision)
    return tflops * TERA * plan.devices if tflops else None


def _model(attempt: Attempt) -> contract.ModelSource:
    model, mount = attempt.spec.model, volumes.model(attempt.spec)
    return contract.ModelSource(
        name=model.name,
        path=mount.path if mount else None,
        revision=model.revision,
        adapter=volumes.inherited(attempt.adapter).path if attempt.adapter else None,
        remote=remote.model(attempt.spec),
    )


def _dataset(spec: FineTuneJobSpec) -> contract.DatasetSource:
    validation = spec.dataset.validation
    source = validation.source if validation else None
    columns = spec.dataset.columns or Columns()
    rows = volumes.dataset("dataset", volumes.DATASET_MOUNT, spec.dataset.source)
    own = volumes.dataset("validation", volumes.VALIDATION_MOUNT, source) if source else None
    return contract.DatasetSource(
        path=rows.path if rows else "",
        format=spec.dataset.format.value,
        columns=columns.model_dump(exclude_none=True),
        validation_path=own.path if own else None,
        validation_fraction=(validation.fraction if validation else None) or VALIDATION_FRACTION,
        max_invalid_rows=spec.dataset.max_invalid_rows,
        remote=remote.dataset(spec),
        validation_remote=remote.validation(spec),
    )


def _technique(plan: Plan) -> contract.TechniqueSettings:
    lora, quantization, peft = plan.lora, plan.quantization, plan.peft
    return contract.TechniqueSettings(
        method=plan.method.value,
        lora=contract.LoraSettings(
            rank=lora.rank or 0,
            alpha=lora.alpha or 0,
            dropout=lora.dropout,
            target_modules=lora.target_modules,
            modules_to_save=lora.modules_to_save,
            variant=lora.variant.value,
        )
        if lora
        else None,
        quantization=contract.QuantizationSettings(type=quantization.type.value, double_quant=quantization.double_quant)
        if quantization
        else None,
        peft=contract.PeftSettings(type=peft.type.value, options=dict(peft.options)) if peft else None,
    )


def _distribution(plan: Plan) -> contract.DistributionSettings:
    sharding = plan.sharding
    return contract.DistributionSettings(
        strategy=sharding.strategy.value,
        zero_stage=sharding.stage if sharding.strategy is Strategy.DEEPSPEED else 0,
        offload_optimizer=sharding.offload_optimizer,
        offload_parameters=sharding.offload_parameters,
        nodes=plan.nodes,
        processes_per_node=plan.devices_per_node,
    )


def _training(spec: FineTuneJobSpec, plan: Plan) -> contract.TrainingSettings:
    stopping = spec.training.early_stopping
    return contract.TrainingSettings(
        epochs=plan.epochs,
        max_steps=plan.max_steps,
        learning_rate=plan.learning_rate,
        micro_batch_size=plan.micro_batch_size,
        gradient_accumulation_steps=plan.gradient_accumulation_steps,
        sequence_length=plan.sequence_length,
        gradient_checkpointing=plan.gradient_checkpointing,
        precision=plan.precision.value,
        optimizer=spec.training.optimizer.value,
        scheduler=spec.training.scheduler.value,
        warmup_steps=spec.training.warmup_steps,
        packing=spec.training.packing,
        seed=spec.training.seed,
        early_stopping=contract.EarlyStopping(patience=stopping.patience, threshold=stopping.threshold)
        if stopping
        else None,
    )
