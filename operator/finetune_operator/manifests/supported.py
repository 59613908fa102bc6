"""What a plan may ask for that pods and trainer of this release cannot do yet; `unsupported` is the entry.

A job is planned whether or not it can run here, so that its memory, time and cost are known. What is listed here is
refused before anything is created.

Not here: what can never work (`planning.checks`), what an administrator forbids beside images (`planning.machines`).
"""

from __future__ import annotations

from collections.abc import Iterator

from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.sources import DatasetSource
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec, Task
from finetune_operator.api.v1alpha1.storage import OutputFormat
from finetune_operator.api.v1alpha1.technique import LoraVariant
from finetune_operator.planning.plan import Plan
from finetune_operator.planning.profiles import Profiles

PLANNED_ONLY = "this release plans it but does not run it yet"


def unsupported(spec: FineTuneJobSpec, plan: Plan, profiles: Profiles) -> str | None:
    """Return the first thing that cannot run, and the way out; None where everything can."""
    for found in (_image(spec, profiles), _training(spec, plan), _data(spec), _delivery(spec), _control(spec)):
        for message in found:
            return message
    return None


def _image(spec: FineTuneJobSpec, profiles: Profiles) -> Iterator[str]:
    if spec.image is not None and not profiles.allows(spec.image):
        allowed = ", ".join(profiles.allowed_images) or "none beside the administrator's own"
        yield f"spec.image: '{spec.image}' is not among the allowed images ({allowed}); remove it, or have it allowed"


def _training(spec: FineTuneJobSpec, plan: Plan) -> Iterator[str]:
    if not plan.machine.is_cpu:
        yield f"spec.hardware: {plan.accelerator}: {PLANNED_ONLY}; set accelerator: cpu"
    if plan.sharding.strategy is not Strategy.NONE or plan.devices > 1:
        shared = f"{plan.sharding.strategy.value} on {plan.devices} devices"
        yield f"spec.distribution: {shared}: {PLANNED_ONLY}; set nodes: 1"
    lora = spec.technique.lora
    if lora and lora.variant is LoraVariant.EVA:
        yield f"spec.technique.lora.variant: eva needs a pass over the data before training: {PLANNED_ONLY}; set pissa"
    if spec.training.early_stopping:
        yield f"spec.training.earlyStopping: {PLANNED_ONLY}; remove it"
    if spec.evaluation.metrics:
        yield f"spec.evaluation.metrics: {PLANNED_ONLY}; remove it, the usual ones are measured"
    if spec.training.packing and spec.task is not Task.CAUSAL_LM:
        yield f"spec.training.packing with task {spec.task.value}: {PLANNED_ONLY}; remove it"


def _data(spec: FineTuneJobSpec) -> Iterator[str]:
    source = spec.model.source
    if spec.model.from_job:
        yield f"spec.model.fromJob: {PLANNED_ONLY}; name a model and its source"
    if source and (source.oci or source.s3):
        yield f"spec.model.source: oci and s3: {PLANNED_ONLY}; take claim or hub"
    if spec.model.token_secret_ref:
        yield f"spec.model.tokenSecretRef: {PLANNED_ONLY}; remove it, or bring the model on a claim"
    validation = spec.dataset.validation.source if spec.dataset.validation else None
    sources: dict[str, DatasetSource | None] = {"source": spec.dataset.source, "validation.source": validation}
    for name, rows in sources.items():
        if rows and not (rows.claim or rows.config_map):
            yield f"spec.dataset.{name}: only claim and configMap: of the others {PLANNED_ONLY}"


def _delivery(spec: FineTuneJobSpec) -> Iterator[str]:
    if OutputFormat.ONNX in spec.output.formats:
        yield f"spec.output.formats: onnx: {PLANNED_ONLY}; set adapter or merged"
    for number, to in enumerate(spec.output.destinations):
        if not to.claim:
            yield f"spec.output.destinations[{number}]: only claim: of the others {PLANNED_ONLY}"


def _control(spec: FineTuneJobSpec) -> Iterator[str]:
    asked = {
        "suspend": spec.suspend,
        "cancel": spec.cancel,
        "ttlSecondsAfterFinished": spec.ttl_seconds_after_finished is not None,
        "queueName": spec.queue_name is not None,
    }
    for name in (name for name, is_asked in asked.items() if is_asked):
        yield f"spec.{name}: {PLANNED_ONLY}; remove it"
