"""A failing and a passing case for each rule of the definition, in tables: `sentence: Case`."""

import dataclasses
import typing

Fields = dict[str, typing.Any]

CLAIM: Fields = {"claim": {"name": "data"}}
NO_SOURCE: Fields = {"claim": None}
SHAPE: Fields = {
    "architecture": "llama",
    "hiddenSize": 2048,
    "layers": 22,
    "attentionHeads": 32,
    "intermediateSize": 5632,
    "vocabularySize": 32000,
}
S3: Fields = {"s3": {"uri": "s3://bucket/key", "secretRef": {"name": "keys"}}}
OCI: Fields = {"oci": {"image": "registry.example/team/files:1"}}
TOKEN: Fields = {"name": "hub", "key": "token"}
SEEN: Fields = {"everySteps": 10}


@dataclasses.dataclass(frozen=True)
class Case:
    """`bad` fields are refused by one rule alone, whose message has `want`; `good` ones, nearly the same, are taken."""

    want: str
    bad: Fields
    good: Fields


def dataset(**fields):
    return {"dataset": fields}


def technique(**fields):
    return {"technique": fields}


def distribution(**fields):
    return {"distribution": fields}


def training(**fields):
    return {"training": fields}


def destination(**fields):
    return {"output": {"destinations": [fields]}}


ONE_OF = {
    "a model lies in one place": Case(
        "spec.model.source: set exactly one of hub, claim, oci, s3",
        {"model": {"source": {"hub": {}, **CLAIM}}},
        {"model": {"source": OCI}},
    ),
    "a model's place is said where a source is": Case(
        "spec.model.source: set exactly one of hub, claim, oci, s3",
        {"model": {"source": {}}},
        {"model": {"source": S3}},
    ),
    "a dataset lies in one place": Case(
        "spec.dataset.source: set exactly one of claim, configMap, hub, https, s3, oci",
        dataset(source={**CLAIM, "hub": {"name": "stanfordnlp/imdb"}}),
        dataset(source={**NO_SOURCE, "hub": {"name": "stanfordnlp/imdb", "tokenSecretRef": TOKEN}}),
    ),
    "a dataset's place is said": Case(
        "spec.dataset.source: set exactly one of claim, configMap, hub, https, s3, oci",
        dataset(source=NO_SOURCE),
        dataset(source={**NO_SOURCE, "https": {"url": "https://example.org/rows.jsonl", "sha256": "0" * 64}}),
    ),
    "held-out rows lie in one place": Case(
        "spec.dataset.validation.source: set exactly one of claim, configMap, hub, https, s3, oci",
        dataset(validation={"source": {**CLAIM, "configMap": {"name": "rows", "key": "rows.jsonl"}}}),
        dataset(validation={"source": {"configMap": {"name": "rows", "key": "rows.jsonl"}}}),
    ),
    "rows are held out in one way": Case(
        "spec.dataset.validation: set exactly one of fraction, source",
        dataset(validation={"fraction": 0.1, "source": CLAIM}),
        dataset(validation={"fraction": 0.1}),
    ),
    "hardware is named in one way": Case(
        "spec.hardware: set at most one of profile, accelerator, instanceType",
        {"hardware": {"accelerator": "nvidia-l4", "profile": "small"}},
        {"hardware": {"instanceType": "Standard_NC24ads_A100_v4"}},
    ),
    "checkpoints lie in one place": Case(
        "spec.checkpoints.storage: set exactly one of claim, template, ephemeral",
        {"checkpoints": {"storage": {"ephemeral": {}, "template": {}}}},
        {"checkpoints": {"storage": {"template": {"size": "10Gi"}}}},
    ),
    "a destination is one place": Case(
        "spec.output.destinations[]: set exactly one of claim, oci, s3, hub, mlflow",
        destination(**CLAIM, **S3),
        {"output": {"destinations": [CLAIM, OCI, S3, {"hub": {"repository": "a/b", "tokenSecretRef": TOKEN}}]}},
    ),
    "a destination is some place": Case(
        "spec.output.destinations[]: set exactly one of claim, oci, s3, hub, mlflow",
        destination(),
        destination(mlflow={"trackingUri": "azureml://eastus.api.azureml.ms/mlflow/v1.0/workspace"}),
    ),
}

MODEL = {
    "only the hub takes a token": Case(
        "spec.model.tokenSecretRef: only the hub takes a token",
        {"model": {"tokenSecretRef": TOKEN, "source": CLAIM}},
        {"model": {"tokenSecretRef": TOKEN, "source": {"hub": {}}}},
    ),
    "only the hub has revisions": Case(
        "spec.model.revision: only the hub has revisions",
        {"model": {"revision": "main", "source": CLAIM}},
        {"model": {"revision": "main"}},
    ),
    "heads share keys and values evenly": Case(
        "spec.model.shape.keyValueHeads: must divide attentionHeads",
        {"model": {"shape": {**SHAPE, "keyValueHeads": 5}}},
        {"model": {"shape": {**SHAPE, "keyValueHeads": 4}}},
    ),
    "heads share the hidden size evenly or say how wide they are": Case(
        "spec.model.shape.headDim: attentionHeads does not divide hiddenSize",
        {"model": {"shape": {**SHAPE, "attentionHeads": 24}}},
        {"model": {"shape": {**SHAPE, "attentionHeads": 24, "headDim": 128}}},
    ),
}

DATA = {
    "token figures do not fall": Case(
        "spec.dataset.tokens: median, p95 and max must not fall",
        dataset(tokens={"median": 300, "p95": 200, "max": 900}),
        dataset(tokens={"median": 200, "p95": 200, "max": 900, "rows": 5000}),
    ),
    "preference rows are for task preference": Case(
        "spec.dataset.format: does not serve spec.task", dataset(format="preference"), dataset(format="sharegpt")
    ),
    "task preference takes preference rows": Case(
        "spec.dataset.format: does not serve spec.task",
        {"task": "preference"} | dataset(format="chat"),
        {"task": "preference"} | dataset(format="preference"),
    ),
    "classes are for classification": Case(
        "spec.dataset.format: does not serve spec.task",
        {"task": "translation"} | dataset(format="classification"),
        {"task": "text-classification"} | dataset(format="classification"),
    ),
    "tagged words are for token classification": Case(
        "spec.dataset.format: does not serve spec.task",
        {"task": "text-classification"} | dataset(format="tokens"),
        {"task": "token-classification"} | dataset(format="tokens"),
    ),
    "chosen and rejected are for task preference": Case(
        "spec.dataset.columns: chosen and rejected are read by task preference only",
        dataset(columns={"chosen": "better"}),
        {"task": "preference"} | dataset(columns={"prompt": "question", "chosen": "better", "rejected": "worse"}),
    ),
    "plain text is for domain text and classification": Case(
        "spec.dataset.columns: text is read by task causal-lm or text-classification only",
        dataset(columns={"text": "body"}),
        {"task": "causal-lm"} | dataset(columns={"text": "body"}),
    ),
    "a label is for text classification": Case(
        "spec.dataset.columns: label is read by task text-classification only",
        {"task": "causal-lm"} | dataset(columns={"text": "body", "label": "stars"}),
        {"task": "text-classification"} | dataset(columns={"text": "body", "label": "stars"}),
    ),
    "tokens and tags are for token classification": Case(
        "spec.dataset.columns: tokens and tags are read by task token-classification only",
        {"task": "text-classification"} | dataset(columns={"tags": "ner"}),
        {"task": "token-classification"} | dataset(columns={"tokens": "words", "tags": "ner"}),
    ),
    "a prompt is for tasks that answer": Case(
        "spec.dataset.columns: prompt is read by task chat,",
        {"task": "causal-lm"} | dataset(columns={"prompt": "q"}),
        dataset(columns={"prompt": "q", "completion": "a"}),
    ),
    "task preference has no single answer": Case(
        "spec.dataset.columns: completion and messages are read by task",
        {"task": "preference"} | dataset(columns={"completion": "a"}),
        {"task": "instruction"} | dataset(columns={"messages": "turns"}),
    ),
    "questions are for question answering": Case(
        "spec.dataset.columns: question, answer and context are read by task question-answering only",
        dataset(columns={"context": "passage"}),
        {"task": "question-answering"} | dataset(columns={"question": "q", "answer": "a", "context": "passage"}),
    ),
    "sentence pairs are for translation": Case(
        "spec.dataset.columns: source and target are read by task translation only",
        dataset(columns={"source": "en"}),
        {"task": "translation"} | dataset(columns={"source": "en", "target": "de"}),
    ),
}

TECHNIQUE = {
    "goals are for auto": Case(
        "spec.technique.goals: only method auto works towards goals",
        technique(method="lora", goals=["quality"]),
        technique(method="auto", goals=["quality", "reduce-cost"]),
    ),
    "full has no adapter": Case(
        "spec.technique.lora: methods full and peft have no LoRA adapter",
        technique(method="full", lora={"rank": 8}),
        technique(method="dora", lora={"rank": 8, "modulesToSave": ["lm_head"]}),
    ),
    "other adapters are no LoRA": Case(
        "spec.technique.lora: methods full and peft have no LoRA adapter",
        technique(method="peft", peft={"type": "ia3"}, lora={"rank": 8}),
        technique(lora={"rank": 8}),
    ),
    "method peft says which adapter": Case(
        "spec.technique.peft: goes with method peft and only with it",
        technique(method="peft"),
        technique(method="peft", peft={"type": "prefix-tuning", "options": {"num_virtual_tokens": 20, "a": True}}),
    ),
    "an adapter of PEFT goes with method peft": Case(
        "spec.technique.peft: goes with method peft and only with it",
        technique(method="lora", peft={"type": "ia3"}),
        technique(method="peft", peft={"type": "ia3"}),
    ),
    "lora stores nothing quantized": Case(
        "spec.technique.quantization: only methods qlora and qdora store quantized weights",
        technique(method="lora", quantization={"type": "nf4"}),
        technique(method="qdora", quantization={"type": "fp4"}),
    ),
    "qlora stores quantized weights": Case(
        "spec.technique.quantization.type: none contradicts methods qlora and qdora",
        technique(method="qlora", quantization={"type": "none"}),
        technique(method="auto", quantization={"type": "none"}),
    ),
    "qdora stores quantized weights": Case(
        "spec.technique.quantization.type: none contradicts methods qlora and qdora",
        technique(method="qdora", quantization={"type": "none"}),
        technique(method="qdora", quantization={"type": "int8", "doubleQuant": False}),
    ),
    "pissa starts from weights that are not quantized": Case(
        "spec.technique.lora.variant: pissa cannot start from quantized weights",
        technique(method="qlora", lora={"variant": "pissa"}),
        technique(method="lora", lora={"variant": "pissa"}),
    ),
    "loftq needs quantized weights": Case(
        "spec.technique.lora.variant: loftq makes up for quantization",
        technique(method="lora", lora={"variant": "loftq"}),
        technique(method="qlora", lora={"variant": "loftq"}),
    ),
    "an orthogonal start needs an even rank": Case(
        "spec.technique.lora.rank: variant orthogonal needs an even rank",
        technique(method="lora", lora={"variant": "orthogonal", "rank": 7}),
        technique(method="lora", lora={"variant": "orthogonal", "rank": 8}),
    ),
}

DEVICES = {
    "ZeRO is DeepSpeed's": Case(
        "spec.distribution.zeroStage: ZeRO is DeepSpeed's",
        distribution(strategy="fsdp", zeroStage=3),
        distribution(strategy="deepspeed", zeroStage=3),
    ),
    "a ZeRO stage asks for DeepSpeed by name": Case(
        "spec.distribution.zeroStage: ZeRO is DeepSpeed's",
        distribution(zeroStage=2),
        distribution(strategy="deepspeed"),
    ),
    "ddp does not offload": Case(
        "spec.distribution.offload: only deepspeed and fsdp offload",
        distribution(strategy="ddp", offload={"optimizer": "cpu"}),
        distribution(strategy="deepspeed", zeroStage=2, offload={"optimizer": "cpu"}),
    ),
    "parameters are offloaded at stage 3": Case(
        "spec.distribution.offload.parameters: DeepSpeed offloads parameters at ZeRO stage 3",
        distribution(strategy="deepspeed", zeroStage=2, offload={"parameters": "cpu"}),
        distribution(strategy="deepspeed", zeroStage=3, offload={"parameters": "cpu", "optimizer": "cpu"}),
    ),
    "what is not sharded is not offloaded": Case(
        "spec.distribution.offload.optimizer: DeepSpeed offloads what ZeRO has sharded",
        distribution(strategy="deepspeed", zeroStage=0, offload={"optimizer": "cpu"}),
        distribution(strategy="deepspeed", zeroStage=1, offload={"optimizer": "cpu"}),
    ),
    "fsdp offloads all or nothing": Case(
        "spec.distribution.offload: fsdp offloads parameters and optimizer together",
        distribution(strategy="fsdp", offload={"optimizer": "cpu"}),
        distribution(strategy="fsdp", offload={"optimizer": "cpu", "parameters": "cpu"}),
    ),
    "strategy none uses one device": Case(
        "spec.distribution.strategy: none uses one device",
        distribution(strategy="none") | {"hardware": {"accelerator": "nvidia-l4", "devicesPerNode": 2}},
        distribution(strategy="none") | {"hardware": {"accelerator": "nvidia-l4", "devicesPerNode": 1}},
    ),
    "all devices share the batch": Case(
        "spec.training.batchSize: must be a multiple of microBatchSize x devicesPerNode x nodes",
        training(batchSize=32, microBatchSize=4) | {"hardware": {"accelerator": "nvidia-l4", "devicesPerNode": 3}},
        training(batchSize=32, microBatchSize=4)
        | {"hardware": {"accelerator": "nvidia-l4", "devicesPerNode": 4, "nodes": 2}},
    ),
}

TRAINING = {
    "epochs and steps contradict each other": Case(
        "spec.training: epochs and maxSteps contradict each other",
        training(epochs=1, maxSteps=5),
        training(epochs=0.5),
    ),
    "a micro-batch divides the batch": Case(
        "spec.training.microBatchSize: must divide batchSize",
        training(batchSize=32, microBatchSize=5),
        training(batchSize=32, microBatchSize=8),
    ),
    "a constant rate has no warm-up": Case(
        "spec.training.warmupSteps: scheduler constant has no warm-up",
        training(scheduler="constant", warmupSteps=10),
        training(scheduler="constant_with_warmup", warmupSteps=10),
    ),
    "the warm-up ends before training does": Case(
        "spec.training.warmupSteps: training would end before the warm-up",
        training(maxSteps=5, warmupSteps=10),
        training(maxSteps=50, warmupSteps=10),
    ),
    "classifiers do not pack": Case(
        "spec.training.packing: only tasks causal-lm, instruction and chat pack",
        {"task": "text-classification"} | training(packing=True),
        {"task": "causal-lm"} | training(packing=True),
    ),
    "stopping early needs measurements": Case(
        "spec.training.earlyStopping: needs measurements during training",
        training(earlyStopping={"patience": 2}),
        training(earlyStopping={"patience": 2, "threshold": 0.01}) | {"evaluation": SEEN},
    ),
    "a sequence is no longer than the model reads": Case(
        "spec.training.sequenceLength: longer than the model reads",
        {"model": {"shape": {**SHAPE, "maxPositions": 2048}}} | training(sequenceLength=4096),
        {"model": {"shape": {**SHAPE, "maxPositions": 2048}}} | training(sequenceLength=2048),
    ),
    "processors do not compute in fp16": Case(
        "spec.training.precision: fp16 needs a GPU",
        training(precision="fp16") | {"hardware": {"accelerator": "cpu"}},
        training(precision="fp16") | {"hardware": {"accelerator": "nvidia-t4"}},
    ),
    "no hardware is processors too": Case(
        "spec.training.precision: fp16 needs a GPU",
        training(precision="fp16"),
        training(precision="fp16") | {"hardware": {"profile": "small"}},
    ),
    "a metric belongs to its task": Case(
        "spec.evaluation.metrics: one of them is not measured for spec.task",
        {"evaluation": {"metrics": ["loss", "reward-margin"]}},
        {"task": "preference", "evaluation": {"metrics": ["loss", "reward-margin"]}},
    ),
    "the best checkpoint is chosen by a metric of the task": Case(
        "spec.evaluation.best: is not measured for spec.task",
        {"evaluation": {"best": "reward-margin"} | SEEN},
        {"task": "preference", "evaluation": {"best": "reward-margin"} | SEEN},
    ),
    "the best checkpoint needs measurements": Case(
        "spec.evaluation.best: needs measurements during training",
        {"evaluation": {"best": "loss"}},
        {"evaluation": {"best": "loss"} | SEEN},
    ),
    "learnt prompts are not merged": Case(
        "spec.output.formats: learnt prompts cannot be merged",
        technique(method="peft", peft={"type": "prompt-tuning"}) | {"output": {"formats": ["adapter", "onnx"]}},
        technique(method="peft", peft={"type": "ia3"}) | {"output": {"formats": ["adapter", "onnx", "merged"]}},
    ),
}

CASES = ONE_OF | MODEL | DATA | TECHNIQUE | DEVICES | TRAINING

NAMES = {
    "a name leaves room for those of its children": ("metadata.name: at most 50 characters", "x" * 51, "x" * 50),
    "a name is one part of a host name": ("metadata.name: no dots", "reviews.v2", "reviews-v2"),
}

ITSELF = "spec.model.fromJob: names this very job"

FULL: Fields = {
    "model": {"name": "tiny-phi3", "revision": "main"},
    "task": "chat",
    "dataset": {"source": {"claim": {"name": "data"}}},
    "technique": {"method": "peft", "peft": {"type": "oft", "options": {"r": 8}}},
    "distribution": {"strategy": "ddp"},
    "hardware": {"accelerator": "nvidia-l4"},
    "training": {"maxSteps": 10},
    "checkpoints": {"keep": 2},
    "output": {"formats": ["adapter"]},
    "evaluation": {"everySteps": 10},
    "image": "registry.example/team/trainer:1",
    "queueName": "team",
    "priorityClassName": "low",
    "activeDeadlineSeconds": 3600,
}
"""A spec with every group, so that each can be tried to change."""

KEPT = {
    "model": {"revision": "other"},
    "task": "instruction",
    "dataset": {"maxInvalidRows": 5},
    "technique": {"peft": {"options": {"r": 16}}},
    "distribution": {"strategy": "fsdp"},
    "hardware": {"devicesPerNode": 2},
    "training": {"maxSteps": 20},
    "checkpoints": {"keep": 3},
    "output": {"formats": ["adapter", "merged"]},
    "evaluation": {"baseline": False},
    "image": "registry.example/team/trainer:2",
    "queueName": "other",
    "priorityClassName": "high",
}
"""A change of each group; the messages name it."""

REQUIRED = ("model", "task", "dataset")

MUTABLE = {
    "a job is suspended": {"suspend": True},
    "a job is cancelled": {"cancel": True},
    "retries are added": {"backoffLimit": 9},
    "the deadline moves": {"activeDeadlineSeconds": 7200},
    "the deadline goes": {"activeDeadlineSeconds": None},
    "a time to live is set": {"ttlSecondsAfterFinished": 60},
    "nothing changes": {},
}

UNDONE = "spec.cancel: cannot be undone"


def all_wants():
    """What failing cases expect, over all tables."""
    return {
        *(case.want for case in CASES.values()),
        *(want for want, _bad, _good in NAMES.values()),
        *(f"spec.{name}: immutable; delete" for name in KEPT),
        *(f"spec.{name}: immutable, set or unset" for name in KEPT if name not in REQUIRED),
        ITSELF,
        UNDONE,
    }
