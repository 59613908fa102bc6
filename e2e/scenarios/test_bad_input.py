"""Bad input gives a clear error that names the field or the row and the way out, and loses nothing."""

from __future__ import annotations

import base64
import datetime as dt

import pytest
from cluster_user import SAMPLES, SAMPLES_SECONDS, SHORT_JOB_SECONDS, START_SECONDS, a_job, eventually

POD_SECONDS = 30
"""Longest pod time of a job whose data is bad."""

REASON_SECONDS = 15
"""Longest time until a pod that cannot start says why."""

GOOD = '{"text": "a fine film", "label": "positive"}\n{"text": "a dull film", "label": "negative"}\n'

BROKEN_FILES = {
    "an empty file": (b"", "is empty"),
    "a file that is not UTF-8": (GOOD.encode() + b'{"text": "caf\xe9", "label": "positive"}\n', "row 3"),
    "a wrong column": (GOOD.replace('"text"', '"review"').encode(), "spec.dataset.columns"),
    "a row without its label": (GOOD.encode() + b'{"text": "a film"}\n', "row 3"),
}


@pytest.fixture(scope="module")
def sampled(shared_sampled):
    """One namespace for all stories here: each has jobs of its own."""
    return shared_sampled


@pytest.fixture(scope="module")
def broken(sampled):
    """Jobs on broken files, begun together; named after what is wrong with them."""
    for wrong, (content, _) in BROKEN_FILES.items():
        name = wrong.lower().replace(" ", "-")
        rows = {"binaryData": {"rows.jsonl": base64.b64encode(content).decode()}}
        sampled.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **rows})
        sampled.apply(a_job(name, dataset={"source": {"configMap": {"name": name, "key": "rows.jsonl"}}}))
    return sampled


def pod_seconds(pod) -> float:
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    began, end = (dt.datetime.fromisoformat(ended[key]) for key in ("startedAt", "finishedAt"))
    return (end - began).total_seconds()


def test_a_broken_row_fails_before_training_with_its_number(sampled):
    sampled.apply(
        a_job("broken", dataset={"source": {"claim": {"name": "samples", "path": "datasets/broken-row-7.jsonl"}}})
    )
    status = sampled.finished("broken", within=SHORT_JOB_SECONDS)["status"]
    assert (status["phase"], status["columns"]["reason"]) == ("Failed", "DataInvalid")
    assert "broken-row-7.jsonl row 7" in status["message"]
    assert status.get("progress", {}).get("step", 0) == 0
    (pod,) = sampled.pods("broken")
    assert pod_seconds(pod) < POD_SECONDS
    assert "DataInvalid" in sampled.kubectl("get", "ftj", "broken", "-o", "wide")


@pytest.mark.parametrize("wrong", BROKEN_FILES)
def test_a_broken_file_is_described(broken, wrong):
    want = BROKEN_FILES[wrong][1]
    status = broken.finished(wrong.lower().replace(" ", "-"), within=SHORT_JOB_SECONDS)["status"]
    assert status["columns"]["reason"] == "DataInvalid"
    assert "rows.jsonl" in status["message"]
    assert want in status["message"], status["message"]


def test_a_model_that_is_not_in_the_catalog_is_refused_without_a_pod(user):
    user.apply(a_job("typo", model={"name": "microsoft/Phi-3-mini"}))
    status = user.finished("typo", within=REASON_SECONDS)["status"]
    assert status["columns"]["reason"] == "UnknownModel"
    assert "did you mean" in status["message"]
    assert "microsoft/Phi-3-mini-4k-instruct" in status["message"]
    assert user.pods("typo") == []


def test_a_model_too_large_for_the_hardware_is_refused_with_what_fits(user):
    large = {"name": "microsoft/Phi-3-mini-4k-instruct"}
    user.apply(a_job("large", model=large, task="chat", technique={"method": "full"}))
    status = user.finished("large", within=REASON_SECONDS)["status"]
    assert status["columns"]["reason"] == "DoesNotFit"
    assert "what fits: technique.method: qlora" in status["message"]


def test_a_folder_without_a_model_is_named_with_what_lies_beside_it(sampled):
    nowhere = {"claim": {"name": "samples", "path": "models/minilm"}}
    sampled.apply(a_job("nowhere", model={"name": "all-MiniLM-L6-v2", "source": nowhere}))
    status = sampled.finished("nowhere", within=SHORT_JOB_SECONDS)["status"]
    assert status["columns"]["reason"] == "ModelNotFound"
    assert "all-minilm-l6-v2" in status["message"]


def test_a_job_waits_for_its_claim_and_goes_on_by_itself(user):
    user.apply(a_job("early"))

    def reason():
        status = user.job("early").get("status", {})
        return status if status.get("columns", {}).get("reason") == "ClaimNotFound" else None

    status = eventually(reason, within=REASON_SECONDS, waiting_for="the missing claim to be named")
    assert "spec.dataset.source.claim.name" in status["message"]
    assert "'samples'" in status["message"]
    assert user.pods("early") == []
    user.apply_file(SAMPLES)
    user.wait_for("job/samples", "condition=complete", within=SAMPLES_SECONDS)
    user.training("early", within=START_SECONDS)


def test_a_missing_key_is_named_while_the_pod_waits(sampled):
    sampled.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rows"}, "data": {"other": "x"}})
    sampled.apply(a_job("keyless", dataset={"source": {"configMap": {"name": "rows", "key": "rows.jsonl"}}}))

    def told():
        status = sampled.job("keyless").get("status", {})
        return status if "rows.jsonl" in status.get("message", "") else None

    status = eventually(told, within=REASON_SECONDS, waiting_for="the missing key to be named")
    assert status["phase"] == "Pending"
