"""What pins do to a job."""

import dataclasses

import pytest
from finetune_operator.planning import catalog
from finetune_operator.planning.memory.software import STACKS, Software
from finetune_operator.planning.memory.workload import Attention, Loading, Loss, Quantizer, Stack
from finetune_operator.planning.profiles import Profiles
from finetune_operator.runtime.commands import pins
from finetune_operator.runtime.commands.complaints import BadInput


def applied(*texts, **spec):
    return pins.parse(texts).applied(spec)


SPEC = {
    "a short name stands for its field": (["rank=16"], {"technique": {"lora": {"rank": 16}}}),
    "the last pin of a name counts": (["rank=16", "rank=4"], {"technique": {"lora": {"rank": 4}}}),
    "words stand between commas": (
        ["targetModules=q_proj, v_proj"],
        {"technique": {"lora": {"targetModules": ["q_proj", "v_proj"]}}},
    ),
    "a switch is true or false": (["gradientCheckpointing=false"], {"training": {"gradientCheckpointing": False}}),
    "an accelerator is found in any letter case": (["accelerator=A100-80G"], {"hardware": {"accelerator": "a100-80g"}}),
    "nf4 is told apart from nf4 with quantized scales": (
        ["quantization=nf4"],
        {"technique": {"quantization": {"type": "nf4", "doubleQuant": False}}},
    ),
    "a format that jobs cannot ask for is not in the spec": (
        ["method=qlora", "quantization=gptq-int4"],
        {"technique": {"method": "qlora"}},
    ),
    "any field has a path": (
        ["training.packing=true", "spec.technique.peft.options.r=4"],
        {"training": {"packing": True}, "technique": {"peft": {"options": {"r": 4}}}},
    ),
    "micro-batch, accumulation and devices make the batch": (
        ["microBatchSize=2", "gradientAccumulation=3", "devicesPerNode=4", "nodes=2"],
        {"training": {"microBatchSize": 2, "batchSize": 48}, "hardware": {"devicesPerNode": 4, "nodes": 2}},
    ),
    "accumulation alone is on one device": (
        ["microBatchSize=2", "gradientAccumulation=3", "batchSize=6"],
        {"training": {"microBatchSize": 2, "batchSize": 6}, "hardware": {"devicesPerNode": 1, "nodes": 1}},
    ),
    "the usual batch is rounded up to a multiple": (
        ["microBatchSize=3", "devicesPerNode=4"],
        {"training": {"microBatchSize": 3, "batchSize": 36}, "hardware": {"devicesPerNode": 4}},
    ),
    "nothing offloaded is nothing to say of one device": (
        ["strategy=none", "offloadOptimizer=none"],
        {"distribution": {"strategy": "none"}},
    ),
    "an offload is said of those who do it": (
        ["strategy=deepspeed", "offloadOptimizer=cpu"],
        {"distribution": {"strategy": "deepspeed", "offload": {"optimizer": "cpu"}}},
    ),
}


@pytest.mark.parametrize(("texts", "want"), SPEC.values(), ids=SPEC)
def test_a_pin_is_a_field_of_the_spec(texts, want):
    assert applied(*texts) == want


ROOM = {
    "another method needs no adapter and no goals": (
        ["method=full"],
        {"technique": {"method": "auto", "goals": ["quality"], "lora": {"rank": 8}, "quantization": {"type": "nf4"}}},
        {"technique": {"method": "full"}},
    ),
    "the adapter of a method stays": (
        ["method=dora"],
        {"technique": {"lora": {"rank": 8}, "peft": {"type": "ia3"}}},
        {"technique": {"lora": {"rank": 8}, "method": "dora"}},
    ),
    "steps take the place of epochs": (["maxSteps=5"], {"training": {"epochs": 2}}, {"training": {"maxSteps": 5}}),
    "another model has other numbers": (
        ["model=phi-2"],
        {"model": {"name": "mine", "shape": {"layers": 2}}},
        {"model": {"name": "phi-2"}},
    ),
    "hardware is named once": (
        ["accelerator=cpu"],
        {"hardware": {"profile": "big", "nodes": 2}},
        {"hardware": {"accelerator": "cpu", "nodes": 2}},
    ),
    "another strategy has no stage": (
        ["strategy=fsdp"],
        {"distribution": {"strategy": "deepspeed", "zeroStage": 2}},
        {"distribution": {"strategy": "fsdp", "offload": {"optimizer": "none", "parameters": "none"}}},
    ),
    "a strategy offloads what the job says": (
        ["strategy=fsdp"],
        {"distribution": {"offload": {"optimizer": "cpu", "parameters": "cpu"}}},
        {"distribution": {"strategy": "fsdp", "offload": {"optimizer": "cpu", "parameters": "cpu"}}},
    ),
    "one device offloads nothing": (
        ["strategy=none"],
        {"distribution": {"strategy": "deepspeed", "offload": {"optimizer": "cpu"}}},
        {"distribution": {"strategy": "none"}},
    ),
    "a batch that the job names stays": (
        ["microBatchSize=3"],
        {"training": {"batchSize": 8}},
        {"training": {"batchSize": 8, "microBatchSize": 3}},
    ),
    "what is null is replaced": (["rank=2"], {"technique": None}, {"technique": {"lora": {"rank": 2}}}),
    "what is not there needs no room": (["profile=big"], {"hardware": None}, {"hardware": {"profile": "big"}}),
}


@pytest.mark.parametrize(("texts", "spec", "want"), ROOM.values(), ids=ROOM)
def test_a_job_makes_room_for_a_pin(texts, spec, want):
    assert applied(*texts, **spec) == want


def test_a_job_is_not_changed_by_pins():
    spec = {"technique": {"lora": {"rank": 8}}}
    assert pins.parse(["rank=16", "method=full"]).applied(spec) != spec
    assert spec == {"technique": {"lora": {"rank": 8}}}


def test_traits_of_the_software_go_to_the_stack():
    texts = ["attention=eager", "loss=shifted", "autocast=false", "adapterBytes=2", "fusedActivation=true"]
    texts += ["keepsInputs=true", "loading=whole", "quantization=gptq-int4"]
    assert pins.parse(texts).stack == Stack(
        attention=Attention.EAGER,
        loss=Loss.SHIFTED,
        autocast=False,
        adapter_bytes=2,
        fused_activation=True,
        keeps_inputs=True,
        loading=Loading.WHOLE,
        quantizer=Quantizer.GPTQ,
    )
    assert pins.parse(["quantization=int8"]).stack == Stack()


def test_a_run_that_divided_its_parameters_could_divide_quantized_ones():
    for texts in (["strategy=fsdp"], ["strategy=deepspeed", "zeroStage=3"], ["offloadParameters=cpu"]):
        assert pins.parse(texts).stack == Stack(shards_quantized=True)
        assert pins.parse([*texts, "shardsQuantized=false"]).stack == Stack()
    assert pins.parse(["strategy=deepspeed", "zeroStage=2"]).stack == Stack()


WRONG = {
    "methode=lora": "there is no such pin; did you mean method?",
    "zzz=1": "known are accelerator, adapterBytes,",
    "method": "write it as name=value",
    "=1": "write it as name=value",
    "rank=": "write it as name=value",
    "method=lroa": "must be one of auto, full, lora, qlora, dora, qdora, peft, ia3, .* not 'lroa'",
    "rank=x": "must be a whole number, not 'x'",
    "epochs=x": "must be a number, not 'x'",
    "autocast=maybe": "must be one of true, false, yes, no, not 'maybe'",
    "adapterBytes=3": "must be one of 2, 4, not '3'",
    "training.sequenceLength={": "the value is no YAML: while parsing",
    "training..packing=true": "a path has a word between its dots",
    "attention=sdpa": "must be one of flash, eager",
}


@pytest.mark.parametrize(("text", "want"), WRONG.items())
def test_what_is_not_known_is_answered_with_what_is(text, want):
    with pytest.raises(BadInput, match=want.replace("?", r"\?")):
        pins.parse([text])


def test_a_method_of_a_table_makes_room_for_all_that_it_says():
    found = applied("method=prompt_tuning-200", technique={"peft": {"type": "ia3", "options": {"a": 1}}, "lora": {}})
    peft = {"type": "prompt-tuning", "options": {"num_virtual_tokens": 200}}
    assert found == {"technique": {"method": "peft", "peft": peft}}


def test_a_name_of_one_field_counts_before_a_word_for_several():
    found = applied("rank=4", "method=lora-r32-dora")
    assert found == {"technique": {"method": "dora", "lora": {"rank": 4}}}


def test_targets_are_named_as_the_model_does():
    found = applied("model=phi-3-mini", "targetModules=q,v")
    assert found["technique"] == {"lora": {"targetModules": ["qkv_proj"]}}
    given = dataclasses.replace(pins.parse(["targetModules=q,v"]), shape=catalog.find("falcon-7b"))
    assert given.applied({}) == {"technique": {"lora": {"targetModules": ["query_key_value"]}}}


def test_a_pinned_model_gets_a_task_that_it_can_do():
    assert applied("model=flan-t5-xl", task="causal-lm")["task"] == "translation"
    assert applied("model.name=bert-base", task="chat")["task"] == "text-classification"
    assert applied("model=bert-base", task="token-classification")["task"] == "token-classification"
    assert applied("model=llama-2-7b", task="chat")["task"] == "chat"
    assert applied("model=flan-t5-xl", "task=chat", task="causal-lm")["task"] == "chat"
    assert applied("rank=4", model={"name": "flan-t5-xl"}, task="chat")["task"] == "chat"


def test_targets_of_the_job_are_left_as_they_are():
    spec = {"model": {"name": "bert-base"}, "technique": {"lora": {"targetModules": ["q"]}}}
    assert applied("rank=4", **spec)["technique"]["lora"]["targetModules"] == ["q"]
    assert applied("technique.lora.targetModules=[7]", **spec)["technique"]["lora"]["targetModules"] == [7]
    assert applied("model.name=5", "targetModules=q")["technique"]["lora"]["targetModules"] == ["q"]


def test_an_adapter_beside_quantized_weights_is_of_the_quantized_method():
    assert applied("method=dora", "quantization=int8")["technique"]["method"] == "qdora"
    assert applied("method=lora", "quantization=none")["technique"]["method"] == "lora"
    assert applied("method=qlora", "quantization=nf4-dq")["technique"]["quantization"]["doubleQuant"]


@pytest.mark.parametrize("quantization", ["gptq-int4", "nf4"])
def test_nothing_but_an_adapter_trains_beside_quantized_weights(quantization):
    with pytest.raises(BadInput, match=f"method full has no weights in {quantization}; pin method=qlora"):
        applied("method=full", f"quantization={quantization}")


def test_a_card_of_which_only_the_memory_is_known_is_offered():
    fixed = pins.parse(["accelerator=8GB", "devicesPerNode=2"])
    assert fixed.applied({"hardware": {"accelerator": "nvidia-l4"}})["hardware"] == {
        "profile": "pinned-card",
        "devicesPerNode": 2,
    }
    card = fixed.offered(Profiles()).hardware["pinned-card"]
    assert (card.accelerator, card.device_memory_bytes) == ("nvidia-a100-80gb", 8 * 2**30)
    named = pins.parse(["accelerator=L4", "deviceMemory=12GiB"]).offered(Profiles()).hardware["pinned-card"]
    assert (named.accelerator, named.device_memory_bytes) == ("l4", 12 * 2**30)
    assert pins.parse(["accelerator=l4"]).offered(Profiles()) == Profiles()


def test_software_brings_its_traits_and_a_pin_counts_before_them():
    assert pins.parse(["software=litgpt-a100"]).stack == STACKS[Software.LITGPT]
    assert pins.parse(["software=litgpt", "loss=fused"]).stack.loss is Loss.FUSED
    assert pins.parse(["software=litgpt", "loss=fused"]).stack.adapter_bytes == 2


def test_scripts_that_start_deepspeed_on_one_device_are_planned_with_it():
    fixed = pins.parse(["software=qwen", "method=full", "strategy=none"])
    assert fixed.applied({})["distribution"]["zeroStage"] == 3
    assert any("start DeepSpeed on one device" in note for note in fixed.notes)
    quantized = pins.parse(["software=qwen", "method=lora", "quantization=gptq-int4", "strategy=none"])
    assert quantized.applied({})["distribution"]["zeroStage"] == 2
    for others in (["software=qwen", "method=lora", "strategy=none"], ["method=full", "strategy=none"]):
        assert pins.parse(others).applied({})["distribution"] == {"strategy": "none"}
        assert pins.parse(others).notes == ()
    assert pins.parse(["software=qwen", "strategy=none"]).applied({})["distribution"] == {"strategy": "none"}


def test_software_on_peft_adapts_queries_and_values_where_nothing_is_said():
    said = ["software=peftbench", "model=llama-2-7b"]
    assert applied(*said, "method=dora")["technique"]["lora"] == {"targetModules": ["q_proj", "v_proj"]}
    assert applied(*said, "method=lora", "targetModules=all")["technique"]["lora"] == {"targetModules": ["all-linear"]}
    assert "lora" not in applied(*said, "method=full")["technique"]


def test_a_run_without_its_software_is_noted():
    (note,) = pins.parse(["microBatchSize=2"]).notes
    assert "pin software=transformers" in note
    assert pins.parse(["microBatchSize=2", "software=trl"]).notes == ()
    assert pins.parse(["microBatchSize=2", "loss=full"]).notes == ()
    assert pins.parse(["accelerator=auto"]).notes == ()


def test_accumulation_needs_a_micro_batch():
    with pytest.raises(BadInput, match="says nothing without microBatchSize"):
        applied("gradientAccumulation=2")


def test_accumulation_and_batch_have_to_agree():
    with pytest.raises(BadInput, match="2 rows x 2 x 1 devices are 4, and batchSize is 5"):
        applied("gradientAccumulation=2", "microBatchSize=2", "batchSize=5")


def test_every_pin_is_explained_in_a_line_and_goes_somewhere():
    for name, meaning in pins.described():
        assert len(meaning) <= 95, name
        pin = pins.PINS[name]
        assert bool(pin.spec) + bool(pin.stack) == (name not in {"gradientAccumulation", "software"}), name
