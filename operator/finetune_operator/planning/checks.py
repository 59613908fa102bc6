"""What contradicts the model, the hardware or itself, whatever the memory; `shape` and `contradiction` are the entries.

Not here: what the schema alone can tell (`api`), what does not fit (`planning.plan`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from finetune_operator.api.v1alpha1.hardware import Offload, OffloadTarget, Strategy
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec, Task
from finetune_operator.api.v1alpha1.storage import OutputFormat
from finetune_operator.api.v1alpha1.technique import LoraVariant, Method, PeftType, Quantization, QuantizationType
from finetune_operator.api.v1alpha1.training import Metric, Precision
from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import ModelKind, ModelShape
from finetune_operator.planning.machines import Machine
from finetune_operator.planning.memory.adapters.lora import ALL_LINEAR, HEADS
from finetune_operator.planning.memory.workload import PARAMETERS_STAGE, TRAINER, Loss, Stack
from finetune_operator.planning.refusal import Refusal

ENCODER_TASKS = frozenset({Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION, Task.QUESTION_ANSWERING})
SEQUENCE_TASKS = frozenset({Task.TRANSLATION, Task.QUESTION_ANSWERING, Task.INSTRUCTION})
"""What an encoder-decoder is trained for: one text in, another out."""

HALF = frozenset({Precision.BF16, Precision.BF16_MIXED})


def shape(spec: FineTuneJobSpec) -> ModelShape | Refusal:
    """Return the model's numbers: the spec's own, else the catalog's."""
    name = spec.model.name
    if spec.model.shape is not None:
        architecture = spec.model.shape.architecture
        if catalog.has_experts(architecture):
            return Refusal(
                Reason.UNSUPPORTED,
                f"spec.model.shape.architecture: '{architecture}' has experts, whose memory is not planned; "
                "take a dense model",
            )
        return catalog.described(name, spec.model.shape)
    return catalog.find(name) or _unknown_model(spec)


def is_inspected(spec: FineTuneJobSpec) -> bool:
    """Whether a model's numbers are known by nobody but the config.json on its claim."""
    about = spec.model
    on_claim = about.source is not None and about.source.claim is not None
    return about.shape is None and about.from_job is None and on_claim and catalog.find(about.name) is None


def contradiction(spec: FineTuneJobSpec, model: ModelShape, machine: Machine, stack: Stack = TRAINER) -> Refusal | None:
    """Return the first thing that cannot be, `stack` being the software that trains."""
    able = ({_division} if stack.shards_quantized else set()) | ({_head} if stack.loss not in PAST_THE_HEAD else set())
    for check in CHECKS:
        if check in able:
            continue
        for message in check(spec, model, machine):
            unsupported = check in (_hardware, _division, _task, _variant, _technique)
            return Refusal(Reason.UNSUPPORTED if unsupported else Reason.INVALID_SPEC, message)
    return None


Check = Callable[[FineTuneJobSpec, ModelShape, Machine], Iterator[str]]

PAST_THE_HEAD = frozenset({None, Loss.FUSED})
"""Losses that read the head's own weights; unset, the trainer's."""


def _hardware(spec: FineTuneJobSpec, _model: ModelShape, machine: Machine) -> Iterator[str]:
    if machine.accelerator.inference_only:
        yield (
            f"spec.hardware: {machine.accelerator.name} computes inference only: no library trains a language model on "
            "an FPGA; train on cpu or a GPU and run the exported model there"
        )
    if not machine.device_counts or not machine.node_counts:
        yield (
            f"spec.hardware: {machine.name} does not offer {spec.hardware.nodes or 1} nodes with "
            f"{spec.hardware.devices_per_node or 1} devices each; ask for fewer"
        )
    elif machine.is_cpu and spec.distribution.offload not in {None, Offload()}:
        yield "spec.distribution.offload: on a cpu everything lies in the node's memory already; remove offload"
    elif machine.is_cpu and spec.distribution.strategy is Strategy.FSDP:
        yield "spec.distribution.strategy: fsdp needs GPUs; on a cpu set ddp, or deepspeed with zeroStage: 3"
    elif spec.distribution.strategy is Strategy.FSDP and not _counts(spec, machine):
        yield (
            "spec.distribution.strategy: fsdp divides a model among devices, and this is one; set auto, deepspeed with "
            "offload where the model is too large, or devicesPerNode: 2"
        )
    elif spec.distribution.strategy is Strategy.NONE and machine.device_counts[0] * machine.node_counts[0] > 1:
        yield "spec.distribution.strategy: none uses one device; set auto, or devicesPerNode: 1 and nodes: 1"


def _division(spec: FineTuneJobSpec, _model: ModelShape, _machine: Machine) -> Iterator[str]:
    """Look for quantized weights that shall lie in parts, which the trainer does not do."""
    asked, method = spec.distribution, spec.technique.method
    if method not in {Method.QLORA, Method.QDORA}:
        return
    plain = method.value.removeprefix("q")
    if asked.strategy is Strategy.FSDP:
        yield f"spec.distribution.strategy: fsdp cannot divide quantized weights; set ddp, or method: {plain}"
    elif asked.zero_stage == PARAMETERS_STAGE:
        yield f"spec.distribution.zeroStage: 3 cannot divide quantized weights; set 2, or method: {plain}"
    elif asked.offload is not None and asked.offload.parameters is OffloadTarget.CPU:
        path = "spec.distribution.offload.parameters"
        yield f"{path}: takes ZeRO stage 3, which cannot divide quantized weights; set none, or method: {plain}"


def _task(spec: FineTuneJobSpec, model: ModelShape, _machine: Machine) -> Iterator[str]:
    if model.kind is ModelKind.ENCODER and spec.task not in ENCODER_TASKS:
        yield (
            f"spec.task: {spec.task.value} needs a model that generates, and {model.name} is an encoder; "
            "take a causal language model or task text-classification"
        )
    if model.kind is ModelKind.ENCODER_DECODER and spec.task not in SEQUENCE_TASKS:
        yield (
            f"spec.task: {model.name} turns one text into another; {spec.task.value} needs a causal language model or "
            "an encoder; take one, or task translation"
        )


def _metrics(spec: FineTuneJobSpec, model: ModelShape, _machine: Machine) -> Iterator[str]:
    asked = {*spec.evaluation.metrics, spec.evaluation.best}
    if Metric.PERPLEXITY in asked and model.kind is ModelKind.ENCODER:
        yield f"spec.evaluation: perplexity is of models that write, which {model.name} does not; take f1 or loss"


def _targets(spec: FineTuneJobSpec, model: ModelShape, _machine: Machine) -> Iterator[str]:
    """Look for names that PEFT would not find; of a model outside of the catalog the names are not known."""
    lora = spec.technique.lora
    if lora is None or lora.target_modules is None or catalog.find(model.name) is None:
        return
    linears = (*model.linears, *model.decoder_linears)
    for name in lora.target_modules:
        if name not in {ALL_LINEAR, *HEADS} and not any(one.matches(name) or one.name == name for one in linears):
            known = ", ".join(dict.fromkeys(one.name for one in linears))
            path = "spec.technique.lora.targetModules"
            yield f"{path}: '{name}' is no matrix of {model.name}; take all-linear or {known}"


def _head(spec: FineTuneJobSpec, _model: ModelShape, _machine: Machine) -> Iterator[str]:
    """Look for an adapted output head, which the trainer's loss goes past: it reads the head's own weights."""
    lora = spec.technique.lora
    for name in (lora.target_modules if lora else None) or ():
        if name in HEADS:
            path = "spec.technique.lora.targetModules"
            yield f"{path}: the loss reads '{name}' past its adapter; train it whole: modulesToSave: [{name}]"


def _variant(spec: FineTuneJobSpec, _model: ModelShape, _machine: Machine) -> Iterator[str]:
    technique, path = spec.technique, "spec.technique.lora.variant"
    variant = technique.lora.variant if technique.lora else LoraVariant.LORA
    stored = (technique.quantization or Quantization()).type
    if variant is LoraVariant.ORTHOGONAL and technique.method in {Method.QLORA, Method.QDORA}:
        yield f"{path}: orthogonal cannot start from quantized weights; set olora, or method: lora"
    if variant is not LoraVariant.LOFTQ:
        return
    if stored is not QuantizationType.NF4:
        yield f"{path}: loftq makes up for nf4 weights only, not {stored.value}; set olora, or type: nf4"
    if technique.method is Method.QDORA:
        yield f"{path}: loftq is worked out for LoRA alone; set method: qlora, or variant: olora"
    for wanted in sorted({OutputFormat.MERGED, OutputFormat.ONNX} & set(spec.output.formats)):
        why = "loftq makes up for what quantization lost, which merged weights have; set adapter"
        yield f"spec.output.formats: {wanted.value}: {why}"


def _technique(spec: FineTuneJobSpec, model: ModelShape, _machine: Machine) -> Iterator[str]:
    technique, path = spec.technique, "spec.technique"
    if technique.peft is None:
        return
    kind, asked = technique.peft.type, f"{path}.peft.type: {technique.peft.type.value}"
    known = catalog.peft_options()[kind]
    for name in sorted(technique.peft.options.keys() - known):
        yield f"{path}.peft.options.{name}: {kind.value} has no such option; take of {', '.join(sorted(known))}"
    if kind is PeftType.TRAINABLE_TOKENS and "token_indices" not in technique.peft.options:
        yield f"{path}.peft.options.token_indices: {kind.value} needs the tokens that learn, such as '32001,32002'"
    if kind is PeftType.PREFIX_TUNING and spec.training.gradient_checkpointing:
        yield f"{asked} keeps keys and values, which gradient checkpointing throws away; remove gradientCheckpointing"
    heads = MISFITS.get((kind, model.kind), {})
    if spec.task in heads:
        yield f"{asked} cannot serve {spec.task.value} with {model.name}: {heads[spec.task]}"


NO_HEAD = "it trains no head, and this task needs a new one; set ia3, or method: lora"
SHIFTED = "virtual tokens shift the places of the answers; set prefix-tuning, or method: lora"
NO_END = "the answer stands at the last token, which is not found behind virtual tokens; set prefix-tuning"

_NEEDS_HEAD = {Task.TEXT_CLASSIFICATION: NO_HEAD, Task.TOKEN_CLASSIFICATION: NO_HEAD}
_IN_PLACE = {Task.TOKEN_CLASSIFICATION: SHIFTED}

MISFITS: Mapping[tuple[PeftType, ModelKind], Mapping[Task, str]] = {
    (PeftType.TRAINABLE_TOKENS, ModelKind.ENCODER): {**_NEEDS_HEAD, Task.QUESTION_ANSWERING: NO_HEAD},
    (PeftType.TRAINABLE_TOKENS, ModelKind.DECODER): _NEEDS_HEAD,
    (PeftType.PROMPT_TUNING, ModelKind.ENCODER): {**_IN_PLACE, Task.QUESTION_ANSWERING: SHIFTED},
    (PeftType.PROMPT_TUNING, ModelKind.DECODER): {**_IN_PLACE, Task.TEXT_CLASSIFICATION: NO_END},
    (PeftType.P_TUNING, ModelKind.ENCODER): {**_IN_PLACE, Task.QUESTION_ANSWERING: SHIFTED},
    (PeftType.P_TUNING, ModelKind.DECODER): {**_IN_PLACE, Task.TEXT_CLASSIFICATION: NO_END},
}
"""Adapters of PEFT that run with a task's head and learn nothing, or read the wrong place."""


def _length(spec: FineTuneJobSpec, model: ModelShape, _machine: Machine) -> Iterator[str]:
    length = spec.training.sequence_length
    if length and model.learned_positions and length > model.max_positions:
        most = model.max_positions
        yield f"spec.training.sequenceLength: {length} tokens, but {model.name} reads at most {most}; lower it"


def _precision(spec: FineTuneJobSpec, _model: ModelShape, machine: Machine) -> Iterator[str]:
    asked = spec.training.precision
    if asked in HALF and not machine.is_cpu and not machine.accelerator.bf16:
        yield f"spec.training.precision: {machine.accelerator.name} has no bf16; set fp16, or leave it out"
    if asked in HALF and machine.is_cpu and spec.distribution.strategy is Strategy.DEEPSPEED:
        yield "spec.training.precision: DeepSpeed trains in fp32 on a cpu; set fp32, or distribution.strategy: ddp"
    if asked is Precision.FP16 and machine.is_cpu:
        yield "spec.training.precision: fp16 does not train on a cpu; set bf16 or fp32, or leave it out"


def _batch(spec: FineTuneJobSpec, _model: ModelShape, machine: Machine) -> Iterator[str]:
    training = spec.training
    if training.batch_size % (training.micro_batch_size or 1):
        yield (
            f"spec.training.microBatchSize: {training.micro_batch_size} does not divide batchSize "
            f"{training.batch_size}; take one of its divisors"
        )
    counts = _counts(spec, machine)
    if counts and all(training.batch_size % ((training.micro_batch_size or 1) * count) for count in counts):
        yield (
            f"spec.training.batchSize: {training.batch_size} rows a step cannot be divided among {counts[0]} devices"
            + (f" in parts of {training.micro_batch_size}" if training.micro_batch_size else "")
            + "; make it a multiple"
        )


def _counts(spec: FineTuneJobSpec, machine: Machine) -> list[int]:
    """Return the numbers of devices that could share the job."""
    least = 2 if spec.distribution.strategy is Strategy.FSDP else 1
    counts = [devices * nodes for devices in machine.device_counts for nodes in machine.node_counts]
    return [count for count in counts if count >= least]


CHECKS: tuple[Check, ...] = (
    *(_hardware, _division, _task, _metrics, _targets, _head, _variant),
    *(_technique, _length, _precision, _batch),
)
"""In the order in which they are told."""


def _unknown_model(spec: FineTuneJobSpec) -> Refusal:
    name = spec.model.name
    like = catalog.nearest(name)
    hint = f"did you mean {' or '.join(like)}?" if like else "no name in it is like this one."
    way_out = "Any other model works with its numbers in spec.model.shape"
    if is_inspected(spec):
        way_out = (
            "The operator reads its config.json from the claim before it plans; to plan without a cluster, give that "
            "file as --model-config, or write its numbers in spec.model.shape"
        )
    return Refusal(
        Reason.UNKNOWN_MODEL,
        f"spec.model.name: '{name}' is not in the catalog of {len(catalog.models())} models; {hint} {way_out}",
    )
