"""The first example, as a new user meets it: it learns, shows how far it is, and its adapter works elsewhere."""

from __future__ import annotations

import json
import time

import pytest
from cluster_user import ROOT, START_SECONDS, TRAINING_SECONDS, KubectlError, a_job, eventually
from written import STATUS, without_progress, written

EXAMPLE = ROOT / "examples/01-classify-reviews.yaml"
SHOWN_WITHIN = 10
"""Seconds from the first training step until `kubectl get ftj` shows it."""

QUIET_SECONDS = 60
"""How long after the end of a job nothing may be written about it."""

LAST_EVENT_SECONDS = 5
"""Seconds after the status that tells the end in which the Event of it may be posted."""

UNTIL_CREATED, WHOLE_LIFE = 2, 12
"""Writes of the operator until a job's Job is there, and for all of its life, progress apart."""

VERIFY_SECONDS = 240
"""Loading torch and measuring a thousand reviews in a fresh pod; usually 40 s."""

# Nothing of this project: what any user of transformers and PEFT would write.
VERIFY = """
import json, sys
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

base, adapter, rows = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(adapter)
model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
model = PeftModel.from_pretrained(model, adapter).eval()
labels = ["negative", "positive"]
rows = [json.loads(line) for line in open(rows, encoding="utf-8")]
right = 0
with torch.inference_mode():
    for start in range(0, len(rows), 64):
        part = rows[start : start + 64]
        texts = [row["text"] for row in part]
        batch = tokenizer(texts, truncation=True, max_length=128, padding=True, return_tensors="pt")
        guesses = model(**batch).logits.argmax(-1).tolist()
        right += sum(labels[guess] == row["label"] for guess, row in zip(guesses, part))
print(json.dumps({"accuracy": right / len(rows), "rows": len(rows)}))
"""


@pytest.fixture(scope="module")
def story(shared_sampled):
    """The example from apply to its end, with what was seen on the way."""
    user = shared_sampled
    eventually(lambda: not _training(user), within=START_SECONDS, waiting_for="room; waits for it are written about")
    began = time.monotonic()
    user.apply_file(EXAMPLE)
    first_step = eventually(lambda: _first_step(user), within=START_SECONDS, waiting_for="the first step", every=0.3)
    shown = eventually(
        lambda: _shown_step(user), within=SHOWN_WITHIN + 20, waiting_for="progress in kubectl get", every=0.3
    )
    table = user.kubectl("get", "ftj", "-o", "wide")
    job = user.finished("reviews", within=TRAINING_SECONDS)
    ended = time.monotonic()
    seconds = {"firstStep": first_step - began, "shownAfter": shown - first_step, "whole": time.monotonic() - began}
    print(f"\nfirst example: {json.dumps(seconds)} {json.dumps(job['status'].get('result'))}")
    return {"user": user, "job": job, "table": table, "seconds": seconds, "ended": ended}


def _training(user):
    """The training pods of all namespaces that hold room."""
    left = "--field-selector=status.phase!=Succeeded,status.phase!=Failed"
    pods = ("get", "pods", "--all-namespaces", "-l", "finetune.dev/job-name", left, "-o", "name")
    return user.kubectl(*pods, namespaced=False).split()


def _first_step(user):
    """The moment at which the trainer itself, asked through the API server, has made a step."""
    for pod in user.pods("reviews"):
        path = f"/api/v1/namespaces/{user.namespace}/pods/{pod['metadata']['name']}:8080/proxy/progress"
        try:
            if json.loads(user.kubectl("get", "--raw", path, namespaced=False))["step"] >= 1:
                return time.monotonic()
        except KubectlError:
            return None
    return None


def _shown_step(user):
    row = user.kubectl("get", "ftj", "reviews", "-o", "jsonpath={.status.columns.step}")
    return time.monotonic() if row and not row.startswith("0/") else None


def test_it_succeeds_and_held_out_accuracy_rises_by_at_least_ten_points(story):
    status = story["job"]["status"]
    assert status["phase"] == "Succeeded", status["message"]
    result = status["result"]
    assert result["metricsAfter"]["accuracy"] >= result["metricsBefore"]["accuracy"] + 0.10


def test_progress_is_shown_within_ten_seconds_of_the_first_step(story):
    assert story["seconds"]["shownAfter"] < SHOWN_WITHIN


def test_the_columns_say_how_far_it_is(story):
    head, row = story["table"].splitlines()
    assert head.split() == "NAME PHASE PROGRESS STEP LOSS ETA DEVICES AGE MODEL METHOD QUEUE ATTEMPT REASON".split()
    cells = row.split()
    assert cells[1] == "Running"
    assert cells[2].endswith("%")
    assert cells[3].endswith("/100")
    assert float(cells[4]) > 0
    assert cells[6] == "1xcpu"


def test_memory_stayed_within_the_plan(story):
    status = story["job"]["status"]
    assert status["result"]["peakMemoryBytes"] < status["plan"]["memoryBytes"]


def test_conditions_let_scripts_wait_for_either_end(story):
    conditions = {c["type"]: c["status"] for c in story["job"]["status"]["conditions"]}
    assert conditions["Finished"] == conditions["Succeeded"] == conditions["Accepted"] == "True"
    assert conditions["Running"] == "False"
    assert "Stalled" not in conditions
    assert "Reconciling" not in conditions


def test_events_tell_the_story_in_order(story):
    user = story["user"]
    events = user.items("events", "--field-selector", "involvedObject.kind=FineTuneJob")
    reasons = [e["reason"] for e in events]
    for reason in ("Planned", "Training", "Succeeded"):
        assert reason in reasons
    assert len(reasons) == len(set(reasons)), reasons


def test_it_is_begun_with_two_writes_and_its_whole_life_takes_twelve_beside_its_progress(story):
    writes = written(story["user"].namespace, "reviews")
    told = [(one.verb, one.resource) for one in writes]
    lasting = [(one.verb, one.resource) for one in without_progress(writes)]
    print(f"\n{len(told)} writes, without progress {len(lasting)}: {lasting}")
    assert told.index(("create", "jobs")) < UNTIL_CREATED
    assert len(lasting) <= WHOLE_LIFE
    assert len(told) > len(lasting), "progress was told"


def test_the_adapter_gives_the_reported_accuracy_in_plain_transformers_and_peft(story):
    user, status = story["user"], story["job"]["status"]
    (artifact,) = [a for a in status["result"]["artifacts"] if a["kind"] == "adapter"]
    claim, path = artifact["uri"].removeprefix("pvc://").split("/", 1)
    user.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "verify"},
            "data": {"verify.py": VERIFY},
        }
    )
    user.apply(_verifier(claim, path))
    user.wait_for("pod/verify", "jsonpath={.status.phase}=Succeeded", within=VERIFY_SECONDS)
    told = json.loads(user.kubectl("logs", "verify").strip().splitlines()[-1])
    assert told["rows"] > 1000
    assert told["accuracy"] == pytest.approx(status["result"]["metricsAfter"]["accuracy"], abs=0.001)


def _verifier(claim: str, path: str) -> dict:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    command = ["python", "/verify/verify.py", "/samples/models/all-minilm-l6-v2", f"/work/{path}"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "verify"},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "verify",
                    "image": "finetune-trainer:dev",
                    "command": [*command, "/samples/datasets/reviews-held-out.jsonl"],
                    "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}, {"name": "HOME", "value": "/tmp"}],
                    "securityContext": security,
                    "volumeMounts": [
                        {"name": "verify", "mountPath": "/verify"},
                        {"name": "samples", "mountPath": "/samples", "readOnly": True},
                        {"name": "work", "mountPath": "/work", "readOnly": True},
                    ],
                }
            ],
            "volumes": [
                {"name": "verify", "configMap": {"name": "verify"}},
                {"name": "samples", "persistentVolumeClaim": {"claimName": "samples"}},
                {"name": "work", "persistentVolumeClaim": {"claimName": claim}},
            ],
        },
    }


def test_a_finished_job_is_never_started_again(story):
    user = story["user"]
    before = story["job"]["metadata"]["resourceVersion"]
    user.kubectl("delete", "pods", "-l", "finetune.dev/job-name=reviews")
    with pytest.raises(KubectlError, match="immutable"):
        user.apply(a_job("reviews"))
    job = user.job("reviews")
    assert job["metadata"]["resourceVersion"] == before
    assert user.pods("reviews") == []


def test_nothing_is_written_about_it_for_a_minute_after_its_end(story):
    """Not even though its pods were deleted meanwhile. What tells of the end is written a moment after it."""
    quiet = story["ended"] + QUIET_SECONDS
    eventually(lambda: time.monotonic() > quiet, within=QUIET_SECONDS + 10, waiting_for="a minute to pass")
    writes = written(story["user"].namespace, "reviews")
    ends = [one for one in writes if one.resource == STATUS and one.body["status"].get("completionTime")]
    end = ends[0].answered
    later = [one for one in writes if one.answered > end]
    last_word = [one for one in later if one.resource == "events" and one.answered < end + LAST_EVENT_SECONDS]
    assert later == last_word
    assert len(last_word) <= 1
