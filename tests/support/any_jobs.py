"""Any job that the API would take, and anything it may run on: strategies for hypothesis.

Fields that exclude each other by a rule of the API are drawn together; `test_the_drawn_jobs_are_jobs` holds them to the
rules themselves.
"""

from __future__ import annotations

from typing import Any

from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec, Task
from finetune_operator.api.v1alpha1.technique import Goal, LoraVariant, Method, PeftType
from finetune_operator.api.v1alpha1.training import Optimizer, Precision
from finetune_operator.planning import catalog, checks
from finetune_operator.planning.profiles import GIB, CpuProfile, HardwareProfile, Profiles
from hypothesis import strategies as some

Fields = dict[str, Any]


NAMES = [shape.names[-1] for shape in catalog.models()]
FAMILIES = ["llama", "phi3", "phi", "qwen3", "gemma2", "gpt_neox", "gpt2", "opt", "falcon", "bert", "t5", "unheard-of"]
UNSET = some.none()
YES_OR_NO = some.booleans()
LENGTHS = some.sampled_from([8, 64, 512, 2048, 8192, 131_072, 1_048_576])
SIZES = [1, 2, 3, 4, 8, 16]

ADAPTED = {Method.AUTO, Method.LORA, Method.QLORA, Method.DORA, Method.QDORA}
QUANTIZED = {Method.QLORA, Method.QDORA}

TARGETS = [["all-linear"], ["all-linear"], ["q_proj", "v_proj"], ["qkv_proj"], ["query"], ["q"], ["nonsense"]]
OPTIONS: list[Fields] = [
    {"token_indices": "7"},
    {"token_indices": "7,9", "r": 4},
    {"token_indices": "7", "num_virtual_tokens": 50},
    {"token_indices": "7", "target_modules": "q_proj,down_proj"},
]
PROFILES = Profiles(
    hardware={
        "small": HardwareProfile(accelerator="cpu", memory_bytes=4 * GIB, cpus=2),
        "gpu": HardwareProfile(accelerator="nvidia-l4", devices_per_node=4, nodes=2, price_per_hour=2.5),
        "big": HardwareProfile(accelerator="nvidia-h100", instance_type="Standard_ND96isr_H100_v5", devices_per_node=8),
        "wrong": HardwareProfile(accelerator="nvidia-unheard-of"),
        "inference": HardwareProfile(accelerator="fpga"),
    }
)
OFFERS = some.sampled_from([Profiles(), Profiles(cpu=CpuProfile(bf16=True, memory_bytes=GIB)), PROFILES])


def without_nothing(fields: Fields) -> Fields:
    """Leave out what is None."""
    return {name: value for name, value in fields.items() if value is not None}


KINDS = {
    catalog.ModelKind.ENCODER: checks.ENCODER_TASKS,
    catalog.ModelKind.ENCODER_DECODER: checks.SEQUENCE_TASKS,
    catalog.ModelKind.DECODER: frozenset(Task),
}
KNOWN = [(shape.names[-1], task) for shape in catalog.models() for task in sorted(KINDS[shape.kind])]


@some.composite
def models(draw: some.DrawFn) -> tuple[Fields, Task]:
    """A model with a task: mostly one of the catalog that can do it, else any, one with its numbers, or none."""
    chance = draw(some.integers(0, 9))
    if chance < 6:
        name, task = draw(some.sampled_from(KNOWN))
        return {"name": name}, task
    if chance < 7:
        return {"name": draw(some.sampled_from([*NAMES, "nobody/knows-it"]))}, draw(some.sampled_from(Task))
    return ({"name": "nobody/knows-it", "shape": draw(shapes())}, draw(some.sampled_from(Task)))


@some.composite
def shapes(draw: some.DrawFn) -> Fields:
    """The numbers of a model that nobody knows."""
    kv, group = draw(some.sampled_from([1, 2, 8])), draw(some.sampled_from([1, 4]))
    head = draw(some.sampled_from([16, 64, 128]))
    shape = {
        "architecture": draw(some.sampled_from(FAMILIES)),
        "hiddenSize": kv * group * head,
        "layers": draw(some.sampled_from([1, 12, 80])),
        "attentionHeads": kv * group,
        "keyValueHeads": draw(some.sampled_from([None, kv])),
        "headDim": draw(some.sampled_from([None, head, 256])),
        "intermediateSize": draw(some.sampled_from([1, 1024, 28_672])),
        "vocabularySize": draw(some.sampled_from([1, 32_000, 256_000])),
        "tiedEmbeddings": draw(YES_OR_NO),
    }
    return without_nothing(shape)


@some.composite
def techniques(draw: some.DrawFn) -> Fields:
    """Every method, with what goes with it."""
    method = draw(some.sampled_from(Method))
    found: Fields = {"method": method.value}
    if method is Method.AUTO:
        found["goals"] = [goal.value for goal in draw(some.lists(some.sampled_from(Goal), unique=True, max_size=2))]
        found["quantization"] = draw(some.sampled_from([None, {"type": "none"}, {"type": "int8"}]))
    if method in QUANTIZED:
        kinds = some.sampled_from(["nf4", "fp4", "int8"])
        found["quantization"] = draw(UNSET | some.fixed_dictionaries({"type": kinds, "doubleQuant": YES_OR_NO}))
    if method is Method.PEFT:
        found["peft"] = {"type": draw(some.sampled_from(PeftType)).value, "options": draw(some.sampled_from(OPTIONS))}
    if method in ADAPTED and draw(YES_OR_NO):
        found["lora"] = draw(loras(quantized=method in QUANTIZED))
    return without_nothing(found)


@some.composite
def loras(draw: some.DrawFn, *, quantized: bool) -> Fields:
    """A LoRA adapter."""
    variants = set(LoraVariant) - {LoraVariant.PISSA if quantized else LoraVariant.LOFTQ}
    fields = {
        "rank": draw(some.sampled_from([None, 2, 64, 1024])),
        "alpha": draw(some.sampled_from([None, 16])),
        "dropout": draw(some.sampled_from([0.0, 0.1])),
        "targetModules": draw(UNSET | some.sampled_from(TARGETS)),
        "modulesToSave": draw(some.sampled_from([None, ["lm_head"], ["embed_tokens", "lm_head"], ["score"]])),
        "variant": draw(some.sampled_from(sorted(variants))).value,
    }
    return without_nothing(fields)


@some.composite
def distributions(draw: some.DrawFn, *, devices: int) -> Fields:
    """Every strategy, stage and offload that so many devices may have."""
    strategies = set(Strategy) - ({Strategy.NONE} if devices > 1 else set())
    strategy = draw(some.sampled_from(sorted(strategies)))
    found: Fields = {"strategy": strategy.value}
    nowhere, both = {"optimizer": "none"}, {"optimizer": "cpu", "parameters": "cpu"}
    if strategy is Strategy.DEEPSPEED:
        stage = draw(some.sampled_from([None, 0, 1, 2, 3]))
        sharded = [{"optimizer": "cpu"}] if stage != 0 else []
        found["zeroStage"] = stage
        found["offload"] = draw(some.sampled_from([None, nowhere, *sharded, *([both] if stage in {None, 3} else [])]))
    if strategy is Strategy.FSDP:
        found["offload"] = draw(some.sampled_from([None, nowhere, both]))
    return without_nothing(found)


GPUS = [one.key for one in catalog.accelerators() if one.vendor in {catalog.Vendor.NVIDIA, catalog.Vendor.AMD}]
INSTANCES = [one.name for one in catalog.instances()]
ODD = [{"accelerator": "fpga"}, {"accelerator": "nvidia-unheard-of"}, {"instanceType": "m.unheard-of"}]


@some.composite
def hardware(draw: some.DrawFn) -> Fields:
    """Any kind of hardware, mostly known, and how much of it."""
    kinds = [
        some.sampled_from([{}, {"accelerator": "cpu"}, {"accelerator": "auto"}]),
        some.sampled_from(GPUS).map(lambda key: {"accelerator": key}),
        some.sampled_from(GPUS).map(lambda key: {"accelerator": key}),
        some.sampled_from(INSTANCES).map(lambda name: {"instanceType": name}),
        some.sampled_from(["small", "gpu", "big", "wrong", "inference", "nobody"]).map(lambda name: {"profile": name}),
        some.sampled_from(ODD),
    ]
    found = draw(some.one_of(kinds))
    if found.get("accelerator", "cpu") == "cpu" and draw(some.integers(0, 4)):
        return found
    counts = {"devicesPerNode": draw(some.sampled_from([None, None, None, 1, 2, 3, 8]))}
    counts["nodes"] = draw(some.sampled_from([None, None, None, 1, 2]))
    return found | without_nothing(counts)


@some.composite
def trainings(draw: some.DrawFn, *, devices: int, gpu: bool) -> Fields:
    """A training loop whose batch the devices can share."""
    micro = draw(UNSET | some.sampled_from(SIZES))
    precisions = [None, *Precision] if gpu else [None, Precision.FP32, Precision.BF16, Precision.BF16_MIXED]
    precision = draw(some.sampled_from(precisions))
    fields = {
        "microBatchSize": micro,
        "batchSize": (micro or 1) * devices * draw(some.sampled_from(SIZES)),
        "sequenceLength": draw(UNSET | LENGTHS),
        "gradientCheckpointing": draw(UNSET | YES_OR_NO),
        "precision": precision.value if precision else None,
        "optimizer": draw(some.sampled_from(Optimizer)).value,
        "maxSteps": draw(some.sampled_from([None, 100])),
    }
    return without_nothing(fields)


@some.composite
def specs(draw: some.DrawFn) -> Fields:
    """Any job, as its manifest has it."""
    where = draw(hardware())
    devices = where.get("devicesPerNode", 1) * where.get("nodes", 1)
    gpu = bool(where.get("profile") or where.get("instanceType") or where.get("accelerator", "cpu") != "cpu")
    tokens = {"median": 100, "p95": draw(some.sampled_from([100, 5000])), "max": 9000, "rows": 1000}
    dataset: Fields = {"source": {"claim": {"name": "rows"}}}
    model, task = draw(models())
    return {
        "model": model,
        "task": task.value,
        "dataset": dataset | ({"tokens": tokens} if draw(YES_OR_NO) else {}),
        "technique": draw(techniques()),
        "distribution": draw(distributions(devices=devices)),
        "hardware": where,
        "training": draw(trainings(devices=devices, gpu=gpu)),
    }


JOBS = specs().map(FineTuneJobSpec.model_validate)
