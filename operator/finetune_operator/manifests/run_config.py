"""Writes the TrainerRun that the training pod reads, and the ConfigMap that carries it."""

from __future__ import annotations

from finetune_trainer import contract

from finetune_operator.api.v1alpha1.dataset import Columns
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.manifests import names, volumes
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.labels import Manifest, metadata
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
        model=_model(spec),
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
            every_steps=spec.evaluation.every_steps, baseline=spec.evaluation.baseline
        ),
        reporting=contract.ReportingSettings(port=contract.PROGRESS_PORT, termination_log=TERMINATION_LOG),
    )


def config_map(attempt: Attempt) -> Manifest:
    """Return the ConfigMap of an attempt; it never changes."""
    key, number = attempt.key, attempt.number
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(key, names.attempt(key, number), number),
        "immutable": True,
        "data": {volumes.RUN_FILE: contract.to_json(trainer_run(attempt))},
    }


def _model(spec: FineTuneJobSpec) -> contract.ModelSource:
    mount = volumes.model(spec)
    return contract.ModelSource(name=spec.model.name, path=mount.path if mount else None, revision=spec.model.revision)


def _dataset(spec: FineTuneJobSpec) -> contract.DatasetSource:
    validation = spec.dataset.validation
    source = validation.source if validation else None
    columns = spec.dataset.columns or Columns()
    return contract.DatasetSource(
        path=volumes.dataset("dataset", volumes.DATASET_MOUNT, spec.dataset.source).path,
        format=spec.dataset.format.value,
        columns=columns.model_dump(exclude_none=True),
        validation_path=volumes.dataset("validation", volumes.VALIDATION_MOUNT, source).path if source else None,
        validation_fraction=(validation.fraction if validation else None) or VALIDATION_FRACTION,
        max_invalid_rows=spec.dataset.max_invalid_rows,
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


def _training(spec: FineTuneJobSpec, plan: Plan) -> contract.TrainingSettings:
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
    )
