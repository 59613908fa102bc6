import json
import socket
import urllib.error
import urllib.request

import pytest
from finetune_trainer.contract import JobIdentity, Progress, TrainerPhase, from_json
from finetune_trainer.reporting.journal import Journal
from finetune_trainer.reporting.metrics import Metrics
from finetune_trainer.reporting.server import serve

JOB = JobIdentity(namespace="default", name="reviews", uid="u", attempt=1)


@pytest.fixture
def journal():
    return Journal(JOB)


@pytest.fixture
def port(journal):
    return serve(journal, Metrics(JOB), 0)


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def test_progress_is_the_contracts(journal, port):
    journal.advance(phase=TrainerPhase.TRAINING, step=3, total_steps=10, loss=0.5)
    kind, body = get(port, "/progress")
    assert kind == "application/json"
    assert from_json(Progress, body) == journal.progress


def test_metrics_and_health_are_beside_it(port):
    kind, body = get(port, "/metrics")
    assert kind.startswith("text/plain")
    assert "finetune_training_steps_total" in body
    assert json.loads(get(port, "/healthz")[1]) == {"status": "ok"}


def test_an_unknown_path_says_which_there_are(port):
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(port, "/")
    assert (caught.value.code, b"/progress" in caught.value.read()) == (404, True)


def test_a_reader_that_never_reads_does_not_keep_others_out(port):
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    assert get(port, "/healthz")
    for each in silent:
        each.close()


def test_a_taken_port_is_told_and_the_run_goes_on(journal, port, capsys):
    assert serve(journal, Metrics(JOB), port) is None
    assert f"no progress is served, port {port}" in capsys.readouterr().out
