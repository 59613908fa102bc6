"""What holds for every run that pins describe: it is planned as it was said, or it is said why not."""

from __future__ import annotations

import io
import json

import yaml
from finetune_operator.api import keys
from finetune_operator.planning import catalog
from finetune_operator.planning.memory.software import Software
from finetune_operator.planning.memory.workload import Loss
from finetune_operator.runtime.commands.plan import BAD_INPUT, FITS, REFUSED, main
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from real_jobs import smallest

MANIFEST = yaml.safe_dump(
    {"apiVersion": keys.API_VERSION, "kind": keys.KIND, "metadata": {"name": "drawn"}, "spec": smallest()}
)
WORDS = {
    "software": some.sampled_from([*Software, "litgpt-a10g", "peftbench"]),
    "model": some.sampled_from([shape.names[-1] for shape in catalog.models()]),
    "method": some.sampled_from(["full", "lora", "lora+emb", "lora-r32-dora", "qlora", "ia3", "vera", "ptuning-20"]),
    "quantization": some.sampled_from(["none", "nf4", "nf4-dq", "int8", "gptq-int4"]),
    "rank": some.sampled_from([4, 64]),
    "targetModules": some.sampled_from(["all", "q,v", "all,lm_head"]),
    "microBatchSize": some.sampled_from([1, 4]),
    "gradientAccumulation": some.sampled_from([1, 8]),
    "sequenceLength": some.sampled_from([64, 512, 4096]),
    "gradientCheckpointing": some.sampled_from(["yes", "no"]),
    "precision": some.sampled_from(["fp32", "bf16", "bf16-mixed"]),
    "accelerator": some.sampled_from(["A100-80G", "L40S", "24GB", "cpu"]),
    "devicesPerNode": some.sampled_from([1, 2, 8]),
    "strategy": some.sampled_from(["none", "ddp", "fsdp", "zero2", "zero3", "zero3+offload"]),
    "loss": some.sampled_from(Loss),
    "measured": some.sampled_from(["process", "reserved", "active"]),
}
QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
PINNED = some.fixed_dictionaries({}, optional=WORDS)
RUNS = some.fixed_dictionaries(
    {name: WORDS[name] for name in ("software", "model", "precision", "gradientCheckpointing")}
    | {"method": some.sampled_from(["full", "lora", "qlora"]), "accelerator": some.sampled_from(["A100-80G", "24GB"])}
    | {
        "strategy": some.sampled_from(["ddp", "fsdp", "zero2", "zero3", "zero3+offload"]),
        "sequenceLength": some.just(64),
    }
    | {"microBatchSize": WORDS["microBatchSize"], "gradientAccumulation": some.just(2), "devicesPerNode": some.just(2)}
)


def planned(pins, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(MANIFEST))
    texts = [word for name, value in pins.items() for word in ("--pin", f"{name}={value}")]
    status = main(["-", "-o", "json", *texts])
    return status, capsys.readouterr()


@given(pins=PINNED)
@QUIET
def test_any_pins_are_planned_refused_or_said_to_be_wrong(pins, capsys, monkeypatch):
    status, said = planned(pins, capsys, monkeypatch)
    assert status in {FITS, REFUSED, BAD_INPUT}
    assert bool(said.err) == (status == BAD_INPUT)
    if status == REFUSED:
        assert json.loads(said.out)["refusal"]["message"]


@given(pins=RUNS)
@QUIET
def test_a_run_is_planned_with_every_choice_as_it_was_pinned_whether_it_fits_or_not(pins, capsys, monkeypatch):
    status, said = planned(pins, capsys, monkeypatch)
    assert status in {FITS, REFUSED}, said.err
    found = json.loads(said.out)
    assert found["memory"]["predictedBytes"] == sum(found["memory"]["terms"].values()) > 0
    assert (found["method"], found["precision"]) == (pins["method"], pins["precision"])
    assert (found["microBatchSize"], found["gradientAccumulation"]) == (pins["microBatchSize"], 2)
    assert (found["devices"], found["sequenceLength"]) == (2, 64)
    assert found["gradientCheckpointing"] == (pins["gradientCheckpointing"] == "yes")
    assert found["strategy"] == {"ddp": "ddp", "fsdp": "fsdp"}.get(pins["strategy"], "deepspeed")
    offloads = "cpu" if pins["strategy"].endswith("offload") else "none"
    assert set(found["offload"].values()) == {offloads}
