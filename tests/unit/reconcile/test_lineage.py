"""Where a job begins that goes on from another one."""

import dataclasses

import pytest
from builders import a_job
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.sources import ClaimPath, ModelSource
from finetune_operator.api.v1alpha1.technique import Method
from finetune_operator.reconcile.actions import State, Verdict
from finetune_operator.reconcile.lineage import Inheritance, inherit
from finetune_operator.reconcile.snapshot import Parent

SPEC = a_job(model={"name": "all-MiniLM-L6-v2", "fromJob": "first"})
BASE = ModelSource(claim=ClaimPath(name="models", path="minilm"))
ADAPTER = ClaimPath(name="first-abcde", path="output/adapter")
MERGED = ClaimPath(name="first-abcde", path="output/merged")
DONE = Parent(found=True, finished=True, succeeded=True, method="lora", base=BASE, adapter=ADAPTER)


def test_a_job_that_goes_on_from_none_begins_as_it_is_written():
    assert inherit(a_job(), None, Method.LORA) == Inheritance(a_job())
    assert inherit(SPEC, None, Method.LORA) == Inheritance(SPEC)


def test_a_job_goes_on_from_the_adapter_on_the_model_that_it_belongs_to():
    found = inherit(SPEC, DONE, Method.LORA)
    assert found.adapter == ADAPTER
    assert found.spec.model.source == BASE
    assert found.spec.model.name == "all-MiniLM-L6-v2"


def test_a_model_of_the_hub_stays_one():
    assert inherit(SPEC, dataclasses.replace(DONE, base=None), Method.LORA).spec.model.source is None


def test_where_the_job_says_where_its_model_lies_that_counts():
    own = a_job(model={"name": "all-MiniLM-L6-v2", "fromJob": "first", "source": {"claim": {"name": "mine"}}})
    found = inherit(own, dataclasses.replace(DONE, lost="grandparent"), Method.LORA)
    assert found == Inheritance(own, ADAPTER)


@pytest.mark.parametrize(("parent", "method"), [("qlora", Method.LORA), ("lora", Method.QLORA), ("dora", Method.QDORA)])
def test_quantization_makes_no_other_adapter(parent, method):
    assert inherit(SPEC, dataclasses.replace(DONE, method=parent), method).adapter == ADAPTER


def test_full_fine_tuning_leaves_a_model_to_begin_with():
    whole = dataclasses.replace(DONE, method="full", adapter=None, merged=MERGED)
    found = inherit(SPEC, whole, Method.LORA)
    assert found.adapter is None
    assert found.spec.model.source.claim == MERGED


def test_another_technique_begins_with_the_merged_model():
    found = inherit(SPEC, dataclasses.replace(DONE, merged=MERGED), Method.DORA)
    assert (found.adapter, found.spec.model.source.claim) == (None, MERGED)


WAITS = {
    "a job that is not there yet": (Parent(found=False), Reason.FROM_JOB_NOT_FOUND, "does not exist"),
    "a job that has not finished": (Parent(found=True), Reason.FROM_JOB_UNFINISHED, "has not finished"),
}
UNUSABLE = {
    "a job that failed": (Parent(found=True, finished=True), "did not succeed"),
    "a job that trained another kind of adapter": (
        dataclasses.replace(DONE, method="dora"),
        "set technique.method: dora",
    ),
    "a job that left nothing on a claim": (dataclasses.replace(DONE, adapter=None), "no adapter on a claim"),
    "a job whose own beginning is gone": (dataclasses.replace(DONE, lost="zeroth"), "'zeroth', which is gone"),
}


@pytest.mark.parametrize(("parent", "want_reason", "want_words"), WAITS.values(), ids=WAITS)
def test_what_may_come_is_awaited(parent, want_reason, want_words):
    verdict = inherit(SPEC, parent, Method.LORA)
    assert (verdict.state, verdict.reason) == (State.WAITING, want_reason)
    assert want_words in verdict.message


@pytest.mark.parametrize(("parent", "want_words"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_can_never_be_gone_on_from_is_refused_with_the_way_out(parent, want_words):
    verdict = inherit(SPEC, parent, Method.LORA)
    assert isinstance(verdict, Verdict)
    assert (verdict.state, verdict.reason) == (State.REFUSED, Reason.FROM_JOB_UNUSABLE)
    assert want_words in verdict.message
    assert "spec.model.fromJob: 'first'" in verdict.message


RINGS = {
    ("first",): "'first' goes on from this job: none can begin",
    ("first", "second"): "'first' goes on from 'second', and that from this job: none can begin",
    ("first", "second", "third"): "'first' goes on from 'second', that from 'third', and that from this job: none",
}


@pytest.mark.parametrize(("ring", "want"), RINGS.items(), ids=map(len, RINGS))
def test_jobs_that_wait_for_each_other_are_refused_and_named(ring, want):
    refused = inherit(SPEC, Parent(found=True, ring=ring), Method.LORA)
    assert (refused.state, refused.reason) == (State.REFUSED, Reason.FROM_JOB_UNUSABLE)
    assert want in refused.message
