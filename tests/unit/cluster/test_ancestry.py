"""What is read of the job that another one goes on from."""

import asyncio

import pytest
from builders import a_job
from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.sources import ClaimPath
from finetune_operator.cluster.ancestry import GENERATIONS, parent
from finetune_operator.cluster.errors import NotFound
from finetune_operator.reconcile.snapshot import Parent

MOMENT = "2026-01-01T00:00:00Z"
MODELS = {"claim": {"name": "models", "path": "minilm"}}


def job(*, from_job=None, source=None, phase="Succeeded", artifacts=()):
    model = {"name": "all-MiniLM-L6-v2", "fromJob": from_job, "source": source}
    spec = a_job(model={key: value for key, value in model.items() if value})
    finished = {
        "type": "Finished",
        "status": "True",
        "reason": phase,
        "observedGeneration": 1,
        "lastTransitionTime": MOMENT,
    }
    plan = {
        "method": "lora",
        "accelerator": "cpu",
        "devices": 1,
        "microBatchSize": 1,
        "gradientAccumulationSteps": 1,
        "memoryBytes": 1,
        "predictedPeakBytes": 1,
        "trainableParameters": 1,
        "totalParameters": 1,
    }
    status = {"phase": phase, "conditions": [finished], "plan": plan}
    if artifacts:
        status["result"] = {
            "artifacts": [{"kind": kind, "uri": uri, "bytes": 1, "sha256": "x"} for kind, uri in artifacts]
        }
    return {"spec": spec.model_dump(mode="json", by_alias=True, exclude_none=True), "status": status}


def look(name="first", **jobs):
    class Cluster:
        async def get_shared(self, resource, namespace, name):
            if name not in jobs:
                raise NotFound(404, "no such job")
            return jobs[name]

    return asyncio.run(parent(Cluster(), JobKey("team", "mine", "uid-1"), name))


def test_a_job_that_is_not_there_is_not_found():
    assert look() == Parent(found=False)


def test_a_job_that_has_not_finished_brings_nothing_yet():
    assert look(first=job() | {"status": {}}) == Parent(found=True)


def test_a_job_whose_spec_this_version_cannot_read_brings_nothing():
    assert not look(first=job() | {"spec": {"task": "poetry"}}).succeeded


def test_a_job_that_failed_is_told_as_such():
    assert not look(first=job(phase="Failed")).succeeded


def test_a_result_is_found_where_it_lies():
    artifacts = (("adapter", "pvc://first-abcde/output/adapter"), ("merged", "pvc://first-abcde"))
    found = look(first=job(source=MODELS, artifacts=artifacts))
    assert (found.succeeded, found.method, found.lost) == (True, "lora", None)
    assert found.adapter == ClaimPath(name="first-abcde", path="output/adapter")
    assert found.merged == ClaimPath(name="first-abcde", path=None)
    assert found.base.claim == ClaimPath(name="models", path="minilm")


@pytest.mark.parametrize("artifacts", [(), (("adapter", "pod://output/adapter"),), (("report", "pvc://x/report"),)])
def test_what_lies_on_no_claim_cannot_be_gone_on_from(artifacts):
    found = look(first=job(artifacts=artifacts))
    assert (found.adapter, found.merged) == (None, None)


def test_the_model_is_that_of_the_first_job_of_a_chain():
    found = look("third", third=job(from_job="second"), second=job(from_job="first"), first=job(source=MODELS))
    assert (found.base.claim.name, found.lost) == ("models", None)


def test_a_job_that_names_its_model_itself_ends_the_search():
    found = look("second", second=job(from_job="gone", source=MODELS))
    assert (found.base.claim.name, found.lost) == ("models", None)


def test_a_chain_that_is_broken_names_what_is_gone():
    assert look("second", second=job(from_job="first")).lost == "first"


def test_a_ring_of_jobs_ends():
    ring = {f"job-{n}": job(from_job=f"job-{(n + 1) % 3}") for n in range(3)}
    assert look("job-0", **ring).lost == f"job-{(GENERATIONS + 1) % 3}"


def waiting(from_job, **status):
    return job(from_job=from_job) | {"status": status}


BEGUN = {"attempts": [{"number": 1, "job": "second-abcde-1"}]}
RINGS = {
    "a job that waits for itself": ({"mine": waiting("mine")}, "mine", ("mine",)),
    "two jobs that wait for each other": ({"first": waiting("mine")}, "first", ("first",)),
    "three jobs": ({"first": waiting("second"), "second": waiting("mine")}, "first", ("first", "second")),
    "a chain that ends": ({"first": waiting("second"), "second": waiting(None)}, "first", ()),
    "a chain that is broken": ({"first": waiting("second")}, "first", ()),
    "a chain of which one has begun": ({"first": waiting("second"), "second": waiting("mine", **BEGUN)}, "first", ()),
    "a chain of which one has ended": ({"first": waiting("second"), "second": job(from_job="mine")}, "first", ()),
    "a ring of others": ({"first": waiting("second"), "second": waiting("first")}, "first", ()),
    "a spec that this version cannot read": (
        {"first": waiting("second"), "second": {"spec": {"task": "poetry"}, "status": {}}},
        "first",
        (),
    ),
}


@pytest.mark.parametrize(("jobs", "name", "want"), RINGS.values(), ids=RINGS)
def test_a_ring_is_named(jobs, name, want):
    assert look(name, **jobs) == Parent(found=True, ring=want)
