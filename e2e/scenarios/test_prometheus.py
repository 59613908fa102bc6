"""A real Prometheus scrapes operator and trainer and answers questions about them.

Debian's Prometheus is built without Kubernetes' service discovery, so the test hands it the pods in a file.
"""

from __future__ import annotations

import base64
import json
import pathlib
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
import yaml
from cluster_user import TRAINING_SECONDS, a_job, eventually, kubectl

ANSWER_SECONDS = 40
"""From start until Prometheus has scraped both; usually 8 s."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def configuration(folder: pathlib.Path) -> dict:
    """Pods are scraped through the API server's proxy, as from any place outside the cluster."""
    view = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    cluster, credentials = view["clusters"][0]["cluster"], view["users"][0]["user"]
    files = {
        "ca_file": cluster["certificate-authority-data"],
        "cert_file": credentials["client-certificate-data"],
        "key_file": credentials["client-key-data"],
    }
    tls = {}
    for name, data in files.items():
        (folder / name).write_bytes(base64.b64decode(data))
        tls[name] = str(folder / name)
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {
                "job_name": "pods",
                "scheme": "https",
                "tls_config": tls,
                "file_sd_configs": [{"files": [str(folder / "targets.json")], "refresh_interval": "2s"}],
            }
        ],
    }


def targets() -> list[dict]:
    """Every running pod that asks to be scraped, by the annotations that a cluster's own Prometheus goes by."""
    view = json.loads(kubectl("config", "view", "--minify", "-o", "json"))
    server = urllib.parse.urlsplit(view["clusters"][0]["cluster"]["server"]).netloc
    found = []
    for pod in json.loads(kubectl("get", "pods", "--all-namespaces", "-o", "json"))["items"]:
        metadata, annotations = pod["metadata"], pod["metadata"].get("annotations", {})
        if annotations.get("prometheus.io/scrape") == "true" and pod["status"]["phase"] == "Running":
            place = f"{metadata['name']}:{annotations['prometheus.io/port']}/proxy{annotations['prometheus.io/path']}"
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{place}"
            found.append({"targets": [server], "labels": {"__metrics_path__": path, "pod": metadata["name"]}})
    return found


@pytest.fixture
def prometheus(tmp_path):
    """A Prometheus that runs for the test: a function that asks it a query, and one that tells it of the pods."""
    program = shutil.which("prometheus")
    assert program, "prometheus is not installed; on Debian: apt install prometheus"
    config = tmp_path / "prometheus.yml"
    (tmp_path / "targets.json").write_text("[]")
    config.write_text(yaml.safe_dump(configuration(tmp_path)))
    port = free_port()
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def query(text: str) -> list[dict]:
        url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": text})
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)["data"]["result"]
        except (urllib.error.URLError, ConnectionError):
            return []

    def scrape() -> None:
        (tmp_path / "targets.json").write_text(json.dumps(targets()))

    yield query, scrape
    process.terminate()
    process.wait(timeout=20)


def test_prometheus_answers_about_operator_and_trainer(sampled, prometheus):
    ask, scrape = prometheus
    sampled.apply(a_job("watched", training={"maxSteps": 60, "batchSize": 8, "sequenceLength": 64}))
    sampled.training("watched")
    scrape()
    labels = f'namespace="{sampled.namespace}",finetunejob="watched"'

    def answered(query: str):
        return eventually(lambda: ask(query), within=ANSWER_SECONDS, waiting_for=query, every=1)

    (loss,) = answered(f"finetune_job_loss{{{labels}}}")
    assert float(loss["value"][1]) > 0
    (steps,) = answered(f"finetune_training_steps_total{{{labels}}} > 0")
    assert steps["metric"]["attempt"] == "1"
    (rate,) = answered(f"rate(finetune_training_steps_total{{{labels}}}[10s]) > 0")
    assert float(rate["value"][1]) > 0
    (ratio,) = answered(f"finetune_job_progress_ratio{{{labels}}} > 0")
    assert 0 < float(ratio["value"][1]) <= 1
    (jobs,) = answered(f'finetune_jobs{{namespace="{sampled.namespace}",phase="Running"}} > 0')
    assert (jobs["value"][1], jobs["metric"]["method"]) == ("1", "lora")
    (pod,) = answered(f"finetune_job_pod_info{{{labels}}}")
    assert pod["metric"]["node"]
    (rows,) = answered(f"finetune_training_samples_total{{{labels}}} > 0")
    assert float(rows["value"][1]) % 8 == 0
    phases = answered(f"finetune_training_phase_seconds_total{{{labels}}} > 0")
    assert {"data", "forward", "backward", "optimizer"} <= {phase["metric"]["phase"] for phase in phases}
    (passes,) = answered('sum(finetune_operator_reconcile_total{result="success"})')
    assert float(passes["value"][1]) > 0
    (up,) = answered("finetune_operator_build_info")
    assert up["metric"]["version"]
    assert answered("sum(finetune_operator_leader) == 1")
    assert answered('sum(finetune_operator_api_requests_total{code="2xx"}) > 0')
    assert answered('up{pod=~"finetune-operator.*"} == 1')
    assert sampled.finished("watched", within=TRAINING_SECONDS)["status"]["phase"] == "Succeeded"
    answered(f"finetune_job_finished_timestamp_seconds{{{labels}}}")
    sampled.kubectl("delete", "ftj", "watched")
    left = f"count({{__name__=~'finetune_job_.*',{labels}}}) or on () vector(0)"
    eventually(
        lambda: [float(one["value"][1]) for one in ask(left)] == [0.0],
        within=ANSWER_SECONDS,
        waiting_for="the deleted job's series to end",
        every=1,
    )
