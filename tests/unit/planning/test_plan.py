"""What the planner decides and refuses."""

import pytest
from builders import a_job
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.technique import Method
from finetune_operator.planning import catalog
from finetune_operator.planning.fitting import request_bytes, smallest
from finetune_operator.planning.memory import estimate
from finetune_operator.planning.plan import Plan, Refusal, plan
from finetune_operator.planning.profiles import GIB, CpuProfile, Profiles

PHI_MINI = {"name": "microsoft/Phi-3-mini-4k-instruct"}


def planned(profiles=None, **fields) -> Plan:
    answer = plan(a_job(**fields), profiles or Profiles())
    assert isinstance(answer, Plan), answer
    return answer


def refused(profiles=None, **fields) -> Refusal:
    answer = plan(a_job(**fields), profiles or Profiles())
    assert isinstance(answer, Refusal), answer
    return answer


def small(gib: float) -> Profiles:
    return Profiles(cpu=CpuProfile(memory_bytes=int(gib * GIB)))


def choice(answer: Plan, name: str):
    return next(c for c in answer.choices if c.name == name)


def test_a_small_model_gets_lora_and_the_whole_batch_at_once():
    answer = planned()
    assert (answer.method, answer.micro_batch_size, answer.gradient_accumulation_steps) == ("lora", 32, 1)
    assert answer.epochs == 1.0
    assert answer.max_steps is None


def test_every_choice_has_a_reason():
    answer = planned()
    assert len(answer.choices) == 7
    assert all(c.value and c.reason for c in answer.choices)


def test_auto_falls_back_to_qlora_where_lora_does_not_fit():
    answer = planned(model=PHI_MINI, task="chat")
    assert answer.method == "qlora"
    assert "lora does not fit" in choice(answer, "technique.method").reason
    assert any("saves memory, not time" in warning for warning in answer.warnings)


def test_less_memory_gives_smaller_micro_batches_at_the_same_effective_batch():
    answer = planned(small(1.3))
    assert answer.micro_batch_size < 32
    assert answer.micro_batch_size * answer.gradient_accumulation_steps == 32
    assert answer.memory_bytes <= 1.3 * GIB


def test_checkpointing_is_turned_on_only_where_nothing_fits_without():
    one_row = {"training": {"batchSize": 1, "sequenceLength": 512}, "technique": {"method": "lora"}}
    spec, shape = a_job(**one_row), catalog.find("all-MiniLM-L6-v2")
    least = request_bytes(estimate(shape, smallest(spec=spec, shape=shape, method=Method.LORA, length=512)))
    tight, roomy = planned(small(least / GIB), **one_row), planned(**one_row)
    assert (tight.gradient_checkpointing, roomy.gradient_checkpointing) == (True, False)
    assert "not even one row fits" in choice(tight, "training.gradientCheckpointing").reason
    assert refused(small(least / GIB - 0.07), **one_row).reason is Reason.DOES_NOT_FIT


@pytest.mark.parametrize("wish", [True, False])
def test_a_wish_about_checkpointing_is_followed(wish):
    answer = planned(training={"gradientCheckpointing": wish})
    assert answer.gradient_checkpointing is wish
    assert choice(answer, "training.gradientCheckpointing").reason == "asked for"


def test_what_the_user_fixed_is_kept_and_said_to_be_asked_for():
    answer = planned(
        technique={"method": "full"},
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
    asked = [c.name for c in answer.choices if c.reason == "asked for"]
    assert set(asked) == {
        "technique.method",
        "training.precision",
        "training.sequenceLength",
        "training.microBatchSize",
        "training.learningRate",
    }


def test_full_has_no_adapter_and_trains_every_weight():
    answer = planned(technique={"method": "full"})
    assert answer.lora is None
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


def test_processors_with_bf16_compute_in_it():
    assert planned(Profiles(cpu=CpuProfile(bf16=True))).precision == "bf16"


def test_ephemeral_storage_is_warned_about():
    answer = planned(checkpoints={"storage": {"ephemeral": {}}})
    assert any("nothing can resume" in warning for warning in answer.warnings)


def test_an_unknown_model_is_refused_with_the_nearest_names():
    answer = refused(model={"name": "microsoft/Phi-3-mini"})
    assert answer.reason is Reason.UNKNOWN_MODEL
    assert "microsoft/Phi-3-mini-4k-instruct" in answer.message
    assert "did you mean" in answer.message


def test_a_model_unlike_any_other_is_refused_with_the_whole_catalog():
    answer = refused(model={"name": "zzzzqqq"})
    assert "no name in it is like this one" in answer.message
    assert "finetune.dev/tiny-phi3" in answer.message


def test_too_large_a_method_is_refused_with_what_would_fit():
    answer = refused(model=PHI_MINI, task="chat", technique={"method": "full"})
    assert answer.reason is Reason.DOES_NOT_FIT
    assert "method full needs" in answer.message
    assert "what fits: method qlora" in answer.message


def test_where_no_method_fits_the_refusal_says_so():
    answer = refused(small(1), model=PHI_MINI, task="chat")
    assert answer.reason is Reason.DOES_NOT_FIT
    assert "no method fits" in answer.message


def test_a_fixed_micro_batch_that_does_not_fit_is_refused():
    answer = refused(small(1.2), training={"microBatchSize": 32})
    assert answer.reason is Reason.DOES_NOT_FIT


def test_a_sequence_longer_than_the_model_reads_is_refused():
    answer = refused(training={"sequenceLength": 1024})
    assert answer.reason is Reason.INVALID_SPEC
    assert "at most 512" in answer.message


def test_an_encoder_cannot_chat():
    answer = refused(task="chat")
    assert answer.reason is Reason.UNSUPPORTED
    assert "encoder" in answer.message


def test_a_micro_batch_that_does_not_divide_the_batch_is_refused():
    answer = refused(training={"batchSize": 30, "microBatchSize": 4})
    assert answer.reason is Reason.INVALID_SPEC


def test_the_same_job_always_gets_the_same_plan():
    assert planned() == planned()
