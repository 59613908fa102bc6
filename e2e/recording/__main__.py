"""Records anew what operator and trainers tell Prometheus while jobs run on the kind cluster.

    eval "$(python3 e2e/cluster env)"; .venv/bin/python e2e/recording

It needs the operator installed as `make install` does it, takes about 8 minutes, and writes
tests/monitoring/recording.om.gz and recording.json (names and times). docs/dashboards.md and its pictures follow from
them: `.venv/bin/python monitoring/pictures.py`.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("e2e/scenarios", "e2e/recording")]

import stories  # noqa: E402 - found where the line above says
from cluster_user import OPERATOR_NAMESPACE, User, kubectl  # noqa: E402
from samples import Recording  # noqa: E402

EVERY = 5
"""Seconds from one round of scrapes to the next."""

ANSWER_SECONDS = 4
BEFORE, AFTER = 20, 30
"""Seconds that are recorded around the stories."""

RELEASE = "finetune-operator"
PRICE = 0.096
"""USD an hour of a cloud's machine with two processors, so that there is a cost to see."""

TARGETS = ROOT / "tests/monitoring"


class Scraper(threading.Thread):
    """Scrapes every pod that asks for it, in rounds, through the API server as from any place outside the cluster."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.recording = Recording()
        self.error: Exception | None = None
        self._url = f"http://127.0.0.1:{port}/api/v1/namespaces"
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Scrape until told to stop."""
        try:
            last = 0.0
            while not self._stop_asked.wait(EVERY - time.time() % EVERY):
                when = float(round(time.time() / EVERY) * EVERY)
                if when > last:  # a wait may end a moment early
                    self._round(when)
                    last = when
        except Exception as error:  # noqa: BLE001 - told by `stop`
            self.error = error

    def stop(self) -> Recording:
        """Stop and return what was recorded."""
        self._stop_asked.set()
        self.join(timeout=60)
        if self.error is not None:
            raise self.error
        return self.recording

    def _round(self, when: float) -> None:
        for pod in json.loads(kubectl("get", "pods", "--all-namespaces", "-o", "json"))["items"]:
            metadata = pod["metadata"]
            asks = metadata.get("annotations", {})
            if asks.get("prometheus.io/scrape") != "true" or pod["status"]["phase"] != "Running":
                continue
            target = _target(pod, asks["prometheus.io/port"])
            place = f"{metadata['name']}:{asks['prometheus.io/port']}/proxy{asks['prometheus.io/path']}"
            try:
                with urllib.request.urlopen(
                    f"{self._url}/{metadata['namespace']}/pods/{place}", timeout=ANSWER_SECONDS
                ) as answer:
                    text = answer.read().decode()
            except OSError:
                self.recording.up(target, when, answers=False)
                continue
            self.recording.add(text, target, when)
            self.recording.up(target, when, answers=True)


def _target(pod: dict, port: str) -> dict[str, str]:
    """Return the labels that ServiceMonitor and PodMonitor of the chart give."""
    metadata, ours = pod["metadata"], pod["metadata"]["namespace"] == OPERATOR_NAMESPACE
    job = f"{RELEASE}-metrics" if ours else f"{OPERATOR_NAMESPACE}/{RELEASE}-trainers"
    return {
        "job": job,
        "namespace": metadata["namespace"],
        "pod": metadata["name"],
        "container": "operator" if ours else "trainer",
        "endpoint": "metrics" if ours else "progress",
        "instance": f"{pod['status'].get('podIP', '')}:{port}",
    }


@contextlib.contextmanager
def api_proxy() -> Iterator[int]:
    """Give a port of this machine that is the API server, for as long as the block lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(["kubectl", "proxy", f"--port={port}"], stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


def set_price() -> None:
    """Give processors a price, and the operator a new start to see."""
    profile = {"accelerator": "cpu", "pricePerHour": PRICE}
    chart = str(ROOT / "charts/finetune-operator")
    command = ["helm", "upgrade", RELEASE, chart, "--namespace", OPERATOR_NAMESPACE, "--reset-then-reuse-values"]
    command += ["--set-json", f"config.profiles.hardware.small={json.dumps(profile)}", "--wait", "--timeout", "120s"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=180)


def main() -> int:
    """Record."""
    user = User(f"recording-{uuid.uuid4().hex[:6]}")
    marks: list[tuple[float, str]] = []
    with api_proxy() as port:
        scraper = Scraper(port)
        scraper.start()
        pause = threading.Event()
        try:
            pause.wait(BEFORE)
            set_price()
            stories.begin(user)
            for said in stories.tell(user):
                marks.append((time.time(), said))
                print(f"{time.strftime('%H:%M:%S')} {said}", flush=True)
            pause.wait(AFTER)
        finally:
            kubectl("delete", "namespace", user.namespace, "--wait=false", "--ignore-not-found")
        recording = scraper.stop()
    start, end = recording.span()
    facts = {
        "namespace": user.namespace,
        "start": start,
        "end": end,
        "step": EVERY,
        "jobs": stories.JOBS,
        "marks": marks,
    }
    recording.write(TARGETS / "recording.om.gz")
    (TARGETS / "recording.json").write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    size = (TARGETS / "recording.om.gz").stat().st_size
    print(f"{end - start:.0f} s recorded, {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
