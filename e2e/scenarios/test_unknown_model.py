"""A model that no catalog knows, on a claim: its config.json is read before the job is planned."""

from __future__ import annotations

import datetime as dt

import pytest
from cluster_user import SHORT_JOB_SECONDS, a_job, eventually

MODEL = {"name": "my-team/own", "source": {"claim": {"name": "samples", "path": "models/all-minilm-l6-v2"}}}
"""The files of a known model under a name that is in no catalog."""

READING_SECONDS = 30
"""Longest time that the pod may take which reads the numbers; usually 1 s."""


@pytest.fixture(scope="module")
def sampled(shared_sampled):
    """One namespace for all stories here: each has jobs of its own."""
    return shared_sampled


def read_from(folder):
    return {"name": "my-team/own", "source": {"claim": {"name": "samples", "path": folder}}}


def events_of(user, name):
    """The Events of a job's children and its own, by their reasons."""
    return {one["reason"] for one in user.items("events") if one["involvedObject"]["name"].startswith(name)}


def test_a_model_that_nobody_knows_is_read_planned_and_trained(sampled):
    sampled.apply(a_job("unknown", model=MODEL))
    sampled.apply(a_job("known"))
    status = sampled.finished("unknown", within=2 * SHORT_JOB_SECONDS)["status"]
    assert status["phase"] == "Succeeded", status["message"]
    assert status["modelShape"]["architecture"] == "bert"
    assert status["modelShape"]["hiddenSize"] == 384
    assert [one["number"] for one in status["attempts"]] == [1]
    assert "Inspecting" in events_of(sampled, "unknown")
    left = [pod["metadata"]["labels"]["finetune.dev/attempt"] for pod in sampled.pods("unknown")]
    assert left == ["1"]  # what read the model is gone
    known = sampled.finished("known", within=2 * SHORT_JOB_SECONDS)["status"]
    assert "modelShape" not in known
    for field in ("memoryBytes", "totalParameters", "microBatchSize", "predictedPeakBytes"):
        assert status["plan"][field] == known["plan"][field], field


def test_a_folder_without_a_config_is_refused_with_what_lies_there(sampled):
    sampled.apply(a_job("astray", model=read_from("datasets")))
    job = sampled.finished("astray", within=SHORT_JOB_SECONDS)
    status = job["status"]
    assert (status["phase"], status["columns"]["reason"]) == ("Failed", "ModelConfigMissing")
    assert "datasets/config.json on claim 'samples' does not exist: its folder has " in status["message"]
    assert "spec.model.shape" in status["message"]
    began, ended = (
        dt.datetime.fromisoformat(moment) for moment in (job["metadata"]["creationTimestamp"], status["completionTime"])
    )
    print(f"\nrefused {(ended - began).total_seconds():.0f} s after it was applied")
    assert (ended - began).total_seconds() < READING_SECONDS
    eventually(lambda: not sampled.pods("astray"), within=READING_SECONDS, waiting_for="the inspection to go")


@pytest.mark.long
def test_a_job_that_is_suspended_is_not_read_before_it_goes_on(sampled):
    sampled.apply(a_job("later", model=MODEL, suspend=True))
    sampled.wait_for("finetunejob/later", "condition=Suspended", within=READING_SECONDS)
    assert sampled.pods("later") == []
    sampled.kubectl("patch", "finetunejob/later", "--type=merge", "-p", '{"spec": {"suspend": false}}')
    sampled.training("later")
    assert sampled.job("later")["status"]["modelShape"]["layers"] == 6
