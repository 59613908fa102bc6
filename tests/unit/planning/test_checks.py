"""What contradicts the model, the hardware or itself."""

import pytest
from builders import a_job
from finetune_operator.api.v1alpha1.hardware import Hardware
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import ModelShape
from finetune_operator.planning.checks import contradiction, shape
from finetune_operator.planning.machines import machines
from finetune_operator.planning.profiles import Profiles
from finetune_operator.planning.refusal import Refusal

NUMBERS = {
    "architecture": "llama",
    "hiddenSize": 64,
    "layers": 2,
    "attentionHeads": 4,
    "intermediateSize": 128,
    "vocabularySize": 1000,
}

CONTRADICTIONS = {
    "sharding by PyTorch on a cpu": (
        {"distribution": {"strategy": "fsdp"}},
        Reason.UNSUPPORTED,
        "set ddp, or deepspeed",
    ),
    "sharding by PyTorch on one device": (
        {"distribution": {"strategy": "fsdp"}, "hardware": {"accelerator": "nvidia-l4", "devicesPerNode": 1}},
        Reason.UNSUPPORTED,
        "fsdp divides a model among devices, and this is one; set auto, deepspeed with offload",
    ),
    "one row for all devices of PyTorch's sharding": (
        {
            "distribution": {"strategy": "fsdp"},
            "hardware": {"accelerator": "nvidia-l4"},
            "training": {"batchSize": 1},
        },
        Reason.INVALID_SPEC,
        "1 rows a step cannot be divided among 2 devices",
    ),
    "DeepSpeed in bf16 on a cpu": (
        {"distribution": {"strategy": "deepspeed"}, "training": {"precision": "bf16"}},
        Reason.INVALID_SPEC,
        "set fp32",
    ),
    "DeepSpeed in bf16 on a cpu, also mixed": (
        {"distribution": {"strategy": "deepspeed"}, "training": {"precision": "bf16-mixed"}},
        Reason.INVALID_SPEC,
        "set fp32",
    ),
    "an adapter on the output head": (
        {"technique": {"method": "lora", "lora": {"targetModules": ["lm_head"]}}},
        Reason.INVALID_SPEC,
        "past its adapter; train it whole: modulesToSave: [lm_head]",
    ),
    "training on an fpga": ({"hardware": {"accelerator": "fpga"}}, Reason.UNSUPPORTED, "train on cpu or a GPU"),
    "more devices than are offered": (
        {"hardware": {"accelerator": "cpu", "devicesPerNode": 2}},
        Reason.UNSUPPORTED,
        "ask for fewer",
    ),
    "offloading where there is nothing to offload from": (
        {"distribution": {"strategy": "deepspeed", "offload": {"optimizer": "cpu"}}},
        Reason.UNSUPPORTED,
        "remove offload",
    ),
    "one device and two": (
        {"hardware": {"accelerator": "nvidia-l4", "devicesPerNode": 2}, "distribution": {"strategy": "none"}},
        Reason.UNSUPPORTED,
        "none uses one device",
    ),
    "quantized weights in parts": (
        {
            "hardware": {"accelerator": "nvidia-l4"},
            "technique": {"method": "qdora"},
            "distribution": {"strategy": "deepspeed", "zeroStage": 3},
        },
        Reason.UNSUPPORTED,
        "zeroStage: 3 cannot divide quantized weights; set 2, or method: dora",
    ),
    "quantized weights in parts of PyTorch's": (
        {
            "hardware": {"accelerator": "nvidia-l4"},
            "technique": {"method": "qlora"},
            "distribution": {"strategy": "fsdp"},
        },
        Reason.UNSUPPORTED,
        "fsdp cannot divide quantized weights; set ddp, or method: lora",
    ),
    "quantized weights that shall leave their device": (
        {
            "hardware": {"accelerator": "nvidia-l4"},
            "technique": {"method": "qlora"},
            "distribution": {"offload": {"optimizer": "cpu", "parameters": "cpu"}},
        },
        Reason.UNSUPPORTED,
        "set none, or method: lora",
    ),
    "an encoder that shall chat": ({"task": "chat"}, Reason.UNSUPPORTED, "is an encoder"),
    "an encoder-decoder that shall classify": ({"model": {"name": "t5-base"}}, Reason.UNSUPPORTED, "task translation"),
    "adapters on a matrix that is not there": (
        {"technique": {"method": "lora", "lora": {"targetModules": ["query", "q_proj"]}}},
        Reason.INVALID_SPEC,
        "'q_proj' is no matrix of",
    ),
    "more tokens than an encoder has places for": (
        {"training": {"sequenceLength": 600}},
        Reason.INVALID_SPEC,
        "reads at most 512",
    ),
    "bf16 on a card without it": (
        {"hardware": {"accelerator": "nvidia-t4"}, "training": {"precision": "bf16"}},
        Reason.INVALID_SPEC,
        "set fp16",
    ),
    "fp16 on processors": ({"training": {"precision": "fp16"}}, Reason.INVALID_SPEC, "set bf16 or fp32"),
    "a micro-batch that does not divide the batch": (
        {"training": {"batchSize": 30, "microBatchSize": 4}},
        Reason.INVALID_SPEC,
        "does not divide batchSize 30",
    ),
    "a batch that no number of devices divides": (
        {"hardware": {"accelerator": "nvidia-l4", "devicesPerNode": 4}, "training": {"batchSize": 6}},
        Reason.INVALID_SPEC,
        "make it a multiple",
    ),
    "perplexity of a model that points": (
        {"task": "question-answering", "evaluation": {"metrics": ["f1", "perplexity"]}},
        Reason.INVALID_SPEC,
        "take f1 or loss",
    ),
    "micro-batches that do not go round": (
        {
            "hardware": {"accelerator": "nvidia-l4", "devicesPerNode": 4},
            "training": {"batchSize": 8, "microBatchSize": 4},
        },
        Reason.INVALID_SPEC,
        "in parts of 4",
    ),
}


def machine_of(words):
    (found,) = machines(Hardware.model_validate(words), Profiles())
    return found


def found(fields) -> Refusal | None:
    job = a_job(**fields)
    return contradiction(job, shape(job), machine_of(fields.get("hardware", {})))


@pytest.mark.parametrize(("fields", "reason", "way_out"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_contradiction_is_refused_with_the_way_out(fields, reason, way_out):
    refusal = found(fields)
    assert refusal.reason is reason
    assert refusal.message.startswith("spec.")
    assert way_out in refusal.message


MERGED = {"output": {"formats": ["merged"]}}
PHI3 = {"model": {"name": "phi-3-mini"}}


def peft(kind, **options):
    return {"technique": {"method": "peft", "peft": {"type": kind, "options": options}}}


def loftq(**quantization):
    technique = {"method": "qlora", "lora": {"variant": "loftq"}, "quantization": quantization}
    return {"technique": technique}


MISFITS = {
    "loftq for other formats than its own": (loftq(type="int8"), "makes up for nf4 weights only, not int8"),
    "loftq under magnitudes": (
        {"technique": {"method": "qdora", "lora": {"variant": "loftq"}}},
        "worked out for LoRA alone",
    ),
    "an orthogonal start from whole numbers": (
        {"technique": {"method": "qlora", "lora": {"variant": "orthogonal"}}},
        "cannot start from quantized weights",
    ),
    "loftq merged into weights that lost nothing": (loftq() | MERGED, "spec.output.formats: merged"),
    "loftq in ONNX": (loftq() | {"output": {"formats": ["adapter", "onnx"]}}, "spec.output.formats: onnx"),
    "an option of another adapter": (
        peft("ia3", rank=8),
        "spec.technique.peft.options.rank: ia3 has no such option; take of exclude_modules, fan_in_fan_out",
    ),
    "tokens that learn, without their numbers": (
        PHI3 | {"task": "chat"} | peft("trainable-tokens"),
        "options.token_indices: trainable-tokens needs the tokens",
    ),
    "tokens that learn, without a head that does": (peft("trainable-tokens", token_indices="5"), "set ia3"),
    "prompts before a text whose end counts": (PHI3 | peft("prompt-tuning"), "set prefix-tuning"),
    "written prompts before a text whose end counts": (PHI3 | peft("p-tuning"), "set prefix-tuning"),
    "prompts before labels": ({"task": "token-classification"} | peft("p-tuning"), "shift the places"),
    "prompts before an answer in place": ({"task": "question-answering"} | peft("prompt-tuning"), "shift the places"),
    "prefixes that checkpointing throws away": (
        peft("prefix-tuning") | {"training": {"gradientCheckpointing": True}},
        "remove gradientCheckpointing",
    ),
}


@pytest.mark.parametrize(("fields", "way_out"), MISFITS.values(), ids=MISFITS)
def test_an_adapter_that_cannot_serve_is_refused_with_what_can(fields, way_out):
    refusal = found(fields)
    assert refusal.reason is Reason.UNSUPPORTED
    assert way_out in refusal.message


POSSIBLE = {
    "prompts before a text whose beginning counts": peft("prompt-tuning"),
    "prefixes for a decoder that classifies": PHI3 | peft("prefix-tuning"),
    "tokens that learn to chat": PHI3 | {"task": "chat"} | peft("trainable-tokens", token_indices="5,6"),
    "loftq of its own format": loftq(),
    "the smallest job": {},
    "an encoder that answers questions": {"task": "question-answering"},
    "perplexity of a model that writes": PHI3 | {"task": "chat", "evaluation": {"metrics": ["perplexity"]}},
    "every linear layer": {"technique": {"method": "lora", "lora": {"targetModules": ["all-linear"]}}},
    "more tokens than rotary positions were trained for": {
        "model": {"name": "llama-2-7b"},
        "task": "chat",
        "training": {"sequenceLength": 16_384},
    },
    "any name in a model that nobody knows": {
        "model": {"name": "someone/new", "shape": NUMBERS},
        "task": "chat",
        "technique": {"method": "lora", "lora": {"targetModules": ["query_key_value"]}},
    },
}


@pytest.mark.parametrize("fields", POSSIBLE.values(), ids=POSSIBLE)
def test_what_can_be_is_let_through(fields):
    assert found(fields) is None


def test_a_model_is_found_by_its_name_and_by_its_numbers():
    assert shape(a_job()).name == "sentence-transformers/all-MiniLM-L6-v2"
    given = shape(a_job(model={"name": "someone/new", "shape": NUMBERS | {"headDim": 32, "maxPositions": 512}}))
    assert isinstance(given, ModelShape)
    assert (given.name, given.hidden, given.kv_heads, given.head_dim, given.max_positions) == (
        "someone/new",
        64,
        4,
        32,
        512,
    )


@pytest.mark.parametrize("architecture", ["mixtral", "qwen3_moe"])
def test_a_mixture_of_experts_is_refused(architecture):
    refusal = shape(a_job(model={"name": "someone/new", "shape": NUMBERS | {"architecture": architecture}}))
    assert refusal.reason is Reason.UNSUPPORTED
    assert "take a dense model" in refusal.message


def test_an_unknown_model_is_refused_with_names_like_it():
    refusal = shape(a_job(model={"name": "microsoft/Phi-3-mini"}))
    assert refusal.reason is Reason.UNKNOWN_MODEL
    assert "did you mean" in refusal.message
    assert "spec.model.shape" in refusal.message


def test_a_model_unlike_any_other_is_refused_with_the_other_way():
    refusal = shape(a_job(model={"name": "zzzzqqq"}))
    assert "no name in it is like this one" in refusal.message
    assert str(len(catalog.models())) in refusal.message
