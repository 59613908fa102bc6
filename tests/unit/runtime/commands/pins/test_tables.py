"""Words of published tables, as pins take them."""

import csv
import pathlib

import pytest
from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.technique import Method, PeftType
from finetune_operator.planning import catalog
from finetune_operator.planning.memory.software import Software
from finetune_operator.runtime.commands import pins
from finetune_operator.runtime.commands.pins import tables
from finetune_operator.runtime.commands.pins.tables import LORA, METHOD, PEFT_OPTIONS, PEFT_TYPE

TABLE = pathlib.Path(__file__).parents[4] / "data/published_memory.csv"
ROWS = list(csv.DictReader(TABLE.read_text("utf-8").splitlines()))
COLUMNS = {
    "source": "software",
    "model": "model",
    "method": "method",
    "quant": "quantization",
    "rank": "rank",
    "targets": "targetModules",
    "gradient_checkpointing": "gradientCheckpointing",
    "micro_batch": "microBatchSize",
    "seq": "sequenceLength",
    "gpu": "accelerator",
    "gpus": "devicesPerNode",
    "parallel": "strategy",
}


@pytest.mark.parametrize("column", COLUMNS)
def test_every_word_of_a_table_is_taken_as_it_stands(column):
    for value in sorted({row[column] for row in ROWS} - {""}):
        assert pins.parse([f"{COLUMNS[column]}={value}"]).named


METHODS = {
    "lora": Method.LORA,
    "lora+emb": {METHOD: Method.LORA, (*LORA, "modulesToSave"): ["embed_tokens", "lm_head"]},
    "lora-r32-dora": {METHOD: Method.DORA, (*LORA, "rank"): 32},
    "lora-r10-mlp": {
        METHOD: Method.LORA,
        (*LORA, "rank"): 10,
        (*LORA, "targetModules"): ["gate_proj", "up_proj", "down_proj"],
    },
    "lora-r64-qv": {METHOD: Method.LORA, (*LORA, "rank"): 64, (*LORA, "targetModules"): ["q", "v"]},
    "lora-r64-rslora": {METHOD: Method.LORA, (*LORA, "rank"): 64, (*LORA, "variant"): "rslora"},
    "lora-r32-lorafa": {METHOD: Method.LORA, (*LORA, "rank"): 32},
    "qdora-r8-dora": {METHOD: Method.QDORA, (*LORA, "rank"): 8},
    "adaptionprompt": {METHOD: Method.LORA},
    "adaption_prompt": {METHOD: Method.LORA},
    "full-lr1e-5": {METHOD: Method.FULL},
    "osf-r128": {METHOD: Method.FULL},
    "ia3": {METHOD: Method.PEFT, PEFT_TYPE: PeftType.IA3},
    "bone": {METHOD: Method.PEFT, PEFT_TYPE: PeftType.MISS},
    "loha-r32": {METHOD: Method.PEFT, PEFT_TYPE: PeftType.LOHA, (*PEFT_OPTIONS, "r"): 32},
    "prompt_tuning-200": {
        METHOD: Method.PEFT,
        PEFT_TYPE: PeftType.PROMPT_TUNING,
        (*PEFT_OPTIONS, "num_virtual_tokens"): 200,
    },
    "trainable_tokens": {
        METHOD: Method.PEFT,
        PEFT_TYPE: PeftType.TRAINABLE_TOKENS,
        (*PEFT_OPTIONS, "token_indices"): "0",
    },
}


@pytest.mark.parametrize("word", METHODS)
def test_a_method_is_read_with_what_its_name_says(word):
    assert tables.method(word) == METHODS[word]


@pytest.mark.parametrize("word", ["psoft", "lora-nonsense", ""])
def test_a_method_that_nobody_knows_is_not_taken_for_another(word):
    with pytest.raises(ValueError, match=r"must be one of|not known"):
        tables.method(word)


STRATEGIES = {
    "zero3": {tables.STRATEGY: Strategy.DEEPSPEED, tables.STAGE: 3},
    "zero2+offload": {
        tables.STRATEGY: Strategy.DEEPSPEED,
        tables.STAGE: 2,
        (*tables.OFFLOAD, "optimizer"): "cpu",
        (*tables.OFFLOAD, "parameters"): "none",
    },
    "ZeRO-3+offload": {
        tables.STRATEGY: Strategy.DEEPSPEED,
        tables.STAGE: 3,
        (*tables.OFFLOAD, "optimizer"): "cpu",
        (*tables.OFFLOAD, "parameters"): "cpu",
    },
    "fsdp": Strategy.FSDP,
}


@pytest.mark.parametrize("word", STRATEGIES)
def test_a_stage_is_a_strategy(word):
    assert tables.strategy(word) == STRATEGIES[word]


def test_a_strategy_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="must be one of auto, none, ddp, deepspeed, fsdp"):
        tables.strategy("zero4")


def test_a_card_may_be_known_by_its_memory_alone():
    assert tables.accelerator("24GB") == {tables.ACCELERATOR: tables.STAND_IN, tables.DEVICE_MEMORY: 24 * 2**30}
    assert tables.accelerator("RTX 4090") == "rtx-4090"


def test_software_is_found_by_the_name_of_a_table():
    found = {word: tables.software(word) for word in ("litgpt-a10g", "fsdp_qlora", "peft-readme", "peftbench", "TRL")}
    assert list(found.values()) == [
        Software.LITGPT,
        Software.FSDP_QLORA,
        Software.TRANSFORMERS_444,
        Software.TRANSFORMERS,
        Software.TRL,
    ]
    with pytest.raises(ValueError, match="must be one of trl"):
        tables.software("vertex")


TARGETS = {
    "llama-2-7b": ["q_proj", "v_proj"],
    "phi-3-mini": ["qkv_proj"],
    "falcon-7b": ["query_key_value"],
    "qwen-7b": ["c_attn"],
    "bert-base": ["query", "value"],
    "t5-small": ["q", "v"],
}


@pytest.mark.parametrize("name", TARGETS)
def test_letters_stand_for_the_matrices_of_a_model(name):
    assert tables.targets(["q", "v"], catalog.find(name)) == TARGETS[name]


def test_other_targets_are_what_they_say():
    llama = catalog.find("llama-2-7b")
    assert tables.targets(["all", "head"], llama) == ["all-linear", "lm_head"]
    assert tables.targets(["o", "gate", "up", "down", "k"], llama) == [
        "o_proj", "gate_proj", "up_proj", "down_proj", "k_proj",
    ]  # fmt: skip
    assert tables.targets(["q_proj", "x"], llama) == ["q_proj", "x"]
    assert tables.targets(["q", "all"], None) == ["q", "all-linear"]
