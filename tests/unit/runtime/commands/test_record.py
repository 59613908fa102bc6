"""A plan as programs read it."""

import json

from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.planning.memory.estimate import MemoryEstimate
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import Profiles
from finetune_operator.planning.refusal import Alternative, Refusal
from finetune_operator.runtime.commands.record import record
from real_jobs import smallest

TWO_T4 = {"accelerator": "nvidia-t4", "devicesPerNode": 2}


def of_job(**fields):
    return record("job", plan(FineTuneJobSpec.model_validate(smallest(**fields)), Profiles()))


def test_a_plan_is_told_whole():
    found = of_job(training={"maxSteps": 10}, hardware=TWO_T4)
    assert (found["job"], found["fits"], found["refusal"]) == ("job", True, None)
    assert (found["strategy"], found["zeroStage"], found["devices"], found["nodes"]) == ("ddp", None, 2, 1)
    assert found["offload"] == {"optimizer": "none", "parameters": "none"}
    assert found["memory"]["predictedBytes"] == sum(found["memory"]["terms"].values())
    assert found["memory"]["predictedBytes"] <= found["memory"]["limitBytes"]
    assert found["memory"]["podBytes"] > 0
    assert found["seconds"]["low"] < found["seconds"]["high"]
    assert found["cost"]["low"] <= found["cost"]["high"]
    assert all(one["choice"] and one["value"] and one["reason"] for one in found["reasons"])
    assert found["trainableParameters"] < found["totalParameters"]


def test_a_stage_is_told_of_deepspeed_and_what_it_offloads():
    offload = {"optimizer": "cpu", "parameters": "cpu"}
    found = of_job(distribution={"strategy": "deepspeed", "zeroStage": 3, "offload": offload}, hardware=TWO_T4)
    assert (found["strategy"], found["zeroStage"], found["offload"]) == ("deepspeed", 3, offload)


def test_time_and_cost_are_null_where_steps_are_unknown():
    found = of_job(hardware=TWO_T4)
    assert (found["seconds"], found["cost"]) == (None, None)
    assert found["warnings"]


def test_a_refusal_has_the_same_keys_and_what_is_known():
    other = Alternative("technique.method: qlora", 5, 10, 0.5)
    refused = Refusal(Reason.DOES_NOT_FIT, "too large", (other,), MemoryEstimate((("weights", 9), ("context", 3))), 10)
    found = record("job", refused)
    assert found.keys() == of_job().keys()
    assert (found["fits"], found["method"], found["seconds"]) == (False, None, None)
    assert found["memory"] == {
        "predictedBytes": 12,
        "limitBytes": 10,
        "terms": {"weights": 9, "context": 3},
        "podBytes": None,
    }
    assert found["alternatives"] == [
        {"change": "technique.method: qlora", "predictedBytes": 5, "limitBytes": 10, "pricePerHour": 0.5}
    ]
    assert found["refusal"] == {"reason": "DoesNotFit", "message": "too large"}


def test_a_refusal_for_memory_tells_the_choices_of_the_way_that_misses_by_least():
    offload = {"optimizer": "cpu"}
    fields = {"technique": {"method": "full"}, "training": {"batchSize": 6, "microBatchSize": 3, "precision": "fp32"}}
    found = of_job(
        model={"name": "phi-3-medium"},
        task="chat",
        hardware=TWO_T4,
        distribution={"strategy": "deepspeed", "zeroStage": 2, "offload": offload},
        **fields,
    )
    assert (found["fits"], found["model"]) == (False, "microsoft/Phi-3-medium-4k-instruct")
    assert (found["method"], found["precision"], found["accelerator"]) == ("full", "fp32", "nvidia-t4")
    assert (found["microBatchSize"], found["gradientAccumulation"]) == (3, 1)
    assert (found["strategy"], found["zeroStage"]) == ("deepspeed", 2)
    assert (found["devices"], found["devicesPerNode"], found["nodes"]) == (2, 2, 1)
    assert found["offload"] == {"optimizer": "cpu", "parameters": "none"}


def test_a_refusal_without_numbers_has_none():
    found = record("job", Refusal(Reason.UNKNOWN_MODEL, "who?"))
    assert set(found["memory"].values()) == {None}
    assert found["alternatives"] == []


def test_every_answer_is_json():
    for found in (of_job(), of_job(hardware=TWO_T4), record("job", Refusal(Reason.UNKNOWN_MODEL, "who?"))):
        assert json.loads(json.dumps(found)) == found
