"""What the planner decides."""

import pytest
from builders import ROWS, a_job, chatting
from finetune_operator.api.v1alpha1.technique import Method
from finetune_operator.planning import catalog
from finetune_operator.planning.plan import RAN_OUT, Descent, Plan, descend, plan
from finetune_operator.planning.profiles import GIB, CpuProfile, Profiles
from finetune_operator.planning.refusal import Refusal

PHI_MINI = {"name": "microsoft/Phi-3-mini-4k-instruct"}


def planned(profiles=None, **fields) -> Plan:
    answer = plan(a_job(**fields), profiles or Profiles())
    assert isinstance(answer, Plan), answer
    return answer


def small(gib: float) -> Profiles:
    return Profiles(cpu=CpuProfile(memory_bytes=int(gib * GIB)))


def choice(answer: Plan, name: str):
    return next(c for c in answer.choices if c.name == name)


def test_a_small_model_gets_lora_and_the_whole_batch_at_once():
    answer = planned()
    assert (answer.method, answer.micro_batch_size, answer.gradient_accumulation_steps) == ("lora", 32, 1)
    assert (answer.epochs, answer.max_steps) == (1.0, None)


def test_every_choice_has_a_reason():
    answer = planned()
    assert [c.name for c in answer.choices] == [
        "technique.method",
        "training.precision",
        "distribution",
        "training.sequenceLength",
        "training.microBatchSize",
        "training.gradientCheckpointing",
        "training.learningRate",
        "memory",
        "time",
    ]
    assert all(c.value and c.reason for c in answer.choices)


def test_auto_falls_back_to_qlora_where_lora_does_not_fit():
    answer = planned(model=PHI_MINI, task="chat")
    assert answer.method == "qlora"
    assert "lora does not fit" in choice(answer, "technique.method").reason


def test_less_memory_gives_smaller_micro_batches_at_the_same_effective_batch():
    answer = planned(small(1.3))
    assert answer.micro_batch_size < 32
    assert answer.micro_batch_size * answer.gradient_accumulation_steps == 32
    assert answer.memory_bytes <= 1.3 * GIB


@pytest.mark.parametrize("wish", [True, False])
def test_a_wish_about_checkpointing_is_followed(wish):
    answer = planned(training={"gradientCheckpointing": wish})
    assert answer.gradient_checkpointing is wish
    assert choice(answer, "training.gradientCheckpointing").reason.startswith("asked for")


def test_what_the_user_fixed_is_kept_and_said_to_be_asked_for():
    answer = planned(
        technique={"method": "full"},
        distribution={"strategy": "none"},
        training={
            "batchSize": 16,
            "microBatchSize": 4,
            "sequenceLength": 64,
            "learningRate": 0.01,
            "precision": "bf16",
            "maxSteps": 7,
        },
    )
    assert (answer.method, answer.micro_batch_size, answer.gradient_accumulation_steps) == ("full", 4, 4)
    assert (answer.sequence_length, answer.learning_rate, answer.precision) == (64, 0.01, "bf16")
    assert (answer.max_steps, answer.epochs) == (7, None)
    asked = {c.name for c in answer.choices if c.reason == "asked for"}
    assert asked == {
        "technique.method",
        "training.precision",
        "distribution",
        "training.sequenceLength",
        "training.microBatchSize",
        "training.learningRate",
    }


def test_full_has_no_adapter_and_trains_every_weight():
    answer = planned(technique={"method": "full"})
    assert (answer.lora, answer.peft, answer.quantization) == (None, None, None)
    assert answer.trainable_parameters == answer.shape.parameters


def test_adapter_settings_are_completed():
    answer = planned(technique={"method": "qlora", "lora": {"rank": 4, "dropout": 0.1}})
    assert (answer.lora.rank, answer.lora.alpha, answer.lora.dropout) == (4, 8, 0.1)
    assert answer.lora.target_modules == ("query", "value")
    assert (answer.quantization.type, answer.quantization.double_quant) == ("nf4", True)


def test_named_target_modules_are_kept():
    answer = planned(technique={"method": "lora", "lora": {"targetModules": ["query"], "alpha": 5}})
    assert (answer.lora.target_modules, answer.lora.alpha) == (("query",), 5)
    assert answer.trainable_parameters == 6 * 8 * (384 + 384)


def test_a_decoder_gets_adapters_on_every_linear_layer():
    answer = planned(model={"name": "tiny-phi3"}, task="chat")
    assert answer.lora.target_modules == ("all-linear",)


def test_another_adapter_of_peft_is_kept():
    answer = planned(technique={"method": "peft", "peft": {"type": "vera"}})
    assert (answer.lora, answer.peft.type) == (None, "vera")


def test_processors_with_bf16_compute_in_it():
    assert planned(Profiles(cpu=CpuProfile(bf16=True))).precision == "bf16"


def test_a_card_without_bf16_computes_in_fp16():
    answer = planned(**chatting("nvidia-t4"))
    assert answer.precision == "fp16"
    assert "no bf16" in choice(answer, "training.precision").reason


def test_a_job_too_large_for_one_device_is_sharded_over_the_fewest_that_hold_it():
    answer = planned(**chatting(model="phi-3-medium", technique={"method": "full"}))
    assert (answer.devices, answer.sharding.strategy, answer.sharding.stage) == (4, "deepspeed", 3)
    assert answer.memory.peak <= answer.limit_bytes
    assert "saves" in choice(answer, "distribution").reason


def test_a_copy_that_fits_on_each_device_is_not_sharded():
    answer = planned(**chatting(hardware={"devicesPerNode": 4}))
    assert (answer.devices, answer.sharding.strategy, answer.sharding.stage) == (4, "ddp", 0)


def test_weights_in_fp32_on_more_devices_come_before_weights_in_bf16():
    fixed = {"devicesPerNode": 4}
    answer = planned(**chatting(technique={"method": "full"}, hardware=fixed))
    assert (answer.precision, answer.sharding.strategy) == ("bf16-mixed", "deepspeed")


def test_several_nodes_multiply_the_devices():
    answer = planned(**chatting(technique={"method": "full"}, hardware={"devicesPerNode": 4, "nodes": 2}))
    assert (answer.devices_per_node, answer.nodes, answer.devices) == (4, 2, 8)


def test_where_nothing_else_holds_the_job_it_is_offloaded():
    answer = planned(**chatting("nvidia-t4", technique={"method": "full"}))
    assert answer.sharding.offload_optimizer
    assert answer.memory_bytes > 60 * GIB
    assert any("offloading" in warning for warning in answer.warnings)


def test_auto_hardware_takes_what_is_cheapest_for_the_job():
    cheap, dear = {"accelerator": "nvidia-l4", "pricePerHour": 0.5}, {"accelerator": "nvidia-l4", "pricePerHour": 5}
    profiles = Profiles.model_validate({"hardware": {"dear": dear, "cheap": cheap}})
    answer = planned(profiles, **chatting("auto"))
    assert (answer.machine.profile, answer.accelerator) == ("cheap", "nvidia-l4")
    assert answer.duration.cost_high > answer.duration.cost_low > 0


def test_auto_hardware_without_any_price_takes_the_fastest():
    unpriced = {"slow": {"accelerator": "amd-mi210"}, "fast": {"accelerator": "amd-mi300x"}}
    answer = planned(Profiles.model_validate({"hardware": unpriced}), **chatting("auto"))
    assert answer.machine.profile == "fast"


def test_goal_quality_takes_every_weight_before_fewer_devices():
    answer = planned(**chatting(technique={"method": "auto", "goals": ["quality"]}))
    assert answer.method == "full"


def test_goal_reduce_memory_computes_activations_again():
    goal = {"method": "auto", "goals": ["reduce-memory"]}
    answer = planned(**chatting(technique=goal))
    assert (answer.method, answer.gradient_checkpointing) == ("qlora", True)
    assert "goal reduce-memory" in choice(answer, "training.gradientCheckpointing").reason


def test_goal_fewer_parameters_takes_vectors():
    answer = planned(**chatting(technique={"method": "auto", "goals": ["fewer-parameters"]}))
    assert (answer.method, answer.peft.type) == ("peft", "ia3")
    assert answer.trainable_parameters < answer.shape.parameters / 1000


def test_goal_aggregate_gpu_memory_shards_over_all_devices():
    goal = {"method": "auto", "goals": ["aggregate-gpu-memory"]}
    answer = planned(**chatting(technique=goal))
    assert (answer.devices, answer.sharding.strategy) == (8, "deepspeed")


def test_the_way_down_when_memory_runs_out_is_part_of_the_plan():
    answer = planned(**chatting())
    assert answer.ladder[0].startswith("microBatchSize")
    assert answer.ladder[-1] == "method qlora"


def test_time_and_cost_follow_from_the_rows():
    few, many = (planned(**chatting(rows=ROWS | {"rows": count})) for count in (1_000, 100_000))
    assert few.duration.high < many.duration.low
    assert few.duration.cost_high < many.duration.cost_high


def test_without_a_number_of_rows_time_is_unknown_and_said_to_be():
    answer = planned()
    assert (answer.duration.low, answer.duration.cost_low) == (None, None)
    assert any("dataset.tokens.rows" in warning for warning in answer.warnings)


def test_a_model_outside_of_the_catalog_is_planned_by_its_numbers():
    numbers = {
        "architecture": "llama",
        "hiddenSize": 2048,
        "layers": 16,
        "attentionHeads": 32,
        "keyValueHeads": 8,
        "intermediateSize": 8192,
        "vocabularySize": 128_256,
        "tiedEmbeddings": True,
    }
    answer = planned(**chatting() | {"model": {"name": "someone/new", "shape": numbers}})
    assert answer.shape.parameters == catalog.find("llama-3.2-1b").parameters


def test_a_model_given_beside_the_job_is_planned_as_it_is():
    answer = plan(a_job(**chatting()), Profiles(), shape=catalog.find("llama-3.2-1b"))
    assert answer.shape.name == catalog.find("llama-3.2-1b").name


def test_the_same_job_always_gets_the_same_plan():
    assert planned(**chatting("auto")) == planned(**chatting("auto"))


@pytest.mark.parametrize("method", [method for method in Method if method not in {Method.AUTO, Method.PEFT}])
def test_a_plan_never_fills_more_than_there_is(method):
    answer = planned(**chatting("nvidia-a10g", technique={"method": method.value}))
    assert answer.memory.peak <= answer.limit_bytes
    assert answer.memory_bytes <= answer.machine.host_bytes


def descended(rung=0, raises=0, profiles=None, **fields):
    return descend(a_job(**fields), profiles or Profiles(), Descent(rung, raises))


def test_a_plan_that_gave_way_to_nothing_is_the_plan():
    assert descended(**chatting()) == planned(**chatting())


def test_each_rung_is_a_whole_plan_of_the_same_effective_batch_with_the_rest_of_the_ladder_below_it():
    sharded = chatting(technique={"goals": ["aggregate-gpu-memory"]})
    first = above = planned(**sharded)
    assert len(first.ladder) > 4
    for rung in range(1, len(first.ladder) + 1):
        lower = descended(rung, **sharded)
        assert lower.ladder == first.ladder[rung:]
        assert _batch(lower) == _batch(first)
        assert lower.memory.peak < above.memory.peak
        above = lower


def _batch(answer: Plan) -> int:
    return answer.micro_batch_size * answer.gradient_accumulation_steps * answer.devices


def test_below_the_last_rung_there_is_nothing():
    last = len(planned(**chatting("nvidia-l4")).ladder)
    assert descended(last + 1, **chatting("nvidia-l4")) is None


def test_the_memory_limit_of_a_pod_grows_by_half_up_to_what_the_machine_has():
    first = planned().memory_bytes
    most = round(first * 2)
    offered = Profiles(cpu=CpuProfile(memory_bytes=most))
    assert descended(raises=1, profiles=offered).memory_bytes == pytest.approx(1.5 * first, rel=0.1)
    assert descended(raises=2, profiles=offered).memory_bytes == most
    assert descended(raises=3, profiles=offered) is None


def test_a_smaller_plan_does_not_lower_the_memory_limit_of_its_pod():
    assert descended(1).memory.peak < planned().memory.peak
    assert descended(1).memory_bytes == planned().memory_bytes


def test_what_is_moved_off_a_device_gets_its_room_in_the_pod():
    offloading = chatting("nvidia-l4", technique={"method": "full"}, hardware={"devicesPerNode": 8})
    first = planned(**offloading)
    place = first.ladder.index("offload of the optimizer") + 1
    assert descended(place, **offloading).memory_bytes > first.memory_bytes


def test_a_method_that_only_a_rung_brought_says_why():
    lower = descended(len(planned(**chatting("nvidia-l4")).ladder), **chatting("nvidia-l4"))
    assert lower.method is Method.QLORA
    unwished = chatting(
        technique={"goals": ["aggregate-gpu-memory"], "lora": {"rank": 8}}, distribution={"strategy": "ddp"}
    )
    last = descended(len(planned(**unwished).ladder), **unwished)
    assert last.method is Method.QDORA
    assert choice(last, "technique.method").reason.startswith(RAN_OUT)


def test_what_cannot_be_planned_cannot_give_way():
    assert isinstance(descended(1, model={"name": "unheard-of"}), Refusal)


ONNX = {"output": {"formats": ["adapter", "onnx"]}}
LARGE = {"task": "chat", "model": {"name": "Qwen/Qwen2.5-0.5B"}, "training": {"batchSize": 1, "sequenceLength": 64}}


def test_the_pod_has_room_for_writing_onnx_where_that_takes_more_than_training():
    plain, written = planned(**LARGE), planned(**LARGE, **ONNX)
    assert written.memory == plain.memory
    assert written.memory_bytes > plain.memory_bytes
    assert "writing ONNX takes" in choice(written, "memory").reason
    assert "ONNX" not in choice(plain, "memory").reason


def test_the_pod_needs_no_more_room_for_writing_onnx_where_training_takes_more():
    classifying = {"training": {"batchSize": 32}}
    assert planned(**classifying, **ONNX).memory_bytes == planned(**classifying).memory_bytes


def test_beside_devices_there_is_room_for_writing_onnx():
    large = chatting("nvidia-a100-80gb", "phi-3-medium")
    written = planned(**large, **ONNX)
    assert written.memory_bytes > planned(**large).memory_bytes


def test_what_can_be_trained_but_not_written_is_refused_with_the_way_out():
    tight = Profiles(cpu=CpuProfile(memory_bytes=planned(**LARGE).memory_bytes))
    refused = plan(a_job(**LARGE, **ONNX), tight)
    assert isinstance(refused, Refusal)
    assert "writing it for ONNX Runtime takes" in refused.message
    assert "leave onnx out of output.formats" in refused.message
