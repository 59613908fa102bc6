"""A real Prometheus on loopback, filled with a recording; asks it what dashboards and alerts ask.

    with Replay(text, rules) as prometheus:
        prometheus.over("sum(finetune_jobs)", start, end)

The programs are Debian's package `prometheus`, which `python3 e2e/cluster prometheus` installs.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import typing
import urllib.error
import urllib.parse
import urllib.request

READY_SECONDS = 60
"""From the start of Prometheus to its first answer; usually 1 s."""

BLOCK_SECONDS = 120
"""Longest time that making blocks may take; usually 2 s."""

STEP = 5
"""Seconds from one sample to the next; for so long it stands for its series, as blocks hold no marks of staleness."""

ROUNDS = 2
"""Rules may rest on rules of the round before."""

Result = list[dict[str, typing.Any]]


class QueryError(AssertionError):
    """Prometheus did not take a query; the message is its own."""


class Replay:
    """A Prometheus that lives as long as the `with` block."""

    def __init__(
        self,
        text: str,
        rules: tuple[pathlib.Path, ...] = (),
        span: tuple[float, float] | None = None,
        step: int = STEP,
    ) -> None:
        self._text = text
        self._step = step
        self._rules = rules
        self._span = span
        self._folder = pathlib.Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def __enter__(self) -> typing.Self:
        """Load the samples, compute what the recording rules give, start."""
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="replay-"))
        try:
            recording = self._folder / "recording.om"
            recording.write_text(self._text, "utf-8")
            (self._folder / "prometheus.yml").write_text("{}\n", "utf-8")
            self._promtool("tsdb", "create-blocks-from", "openmetrics", str(recording), str(self._folder / "data"))
            self._start()
            for _ in range(ROUNDS if self._rules and self._span else 0):
                self._backfill()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and remove what it wrote."""
        self._stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def at(self, query: str, when: float) -> Result:
        """Answer a query at a moment.

        Raises:
            QueryError: it is not PromQL, or fails on the data.
        """
        return self._ask("query", query=query, time=f"{when:.3f}")

    def over(self, query: str, start: float, end: float, step: int = STEP) -> Result:
        """Answer a query for each step of a time.

        Raises:
            QueryError: it is not PromQL, or fails on the data.
        """
        return self._ask("query_range", query=query, start=f"{start:.3f}", end=f"{end:.3f}", step=str(step))

    def _ask(self, kind: str, **parameters: str) -> Result:
        url = f"http://127.0.0.1:{self._port}/api/v1/{kind}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return typing.cast("Result", json.load(answer)["data"]["result"])
        except urllib.error.HTTPError as error:
            raise QueryError(f"{json.load(error).get('error')}: {parameters['query']}") from error

    def _backfill(self) -> None:
        start, end = self._span or (0, 0)
        rules = [str(path) for path in self._rules]
        words = ["tsdb", "create-blocks-from", "rules", f"--url=http://127.0.0.1:{self._port}"]
        words += [f"--start={start:.0f}", f"--end={end:.0f}", f"--eval-interval={self._step}s"]
        self._promtool(*words, f"--output-dir={self._folder / 'data'}", *rules)
        self._stop()
        self._start()

    def _promtool(self, *words: str) -> None:
        done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False, timeout=BLOCK_SECONDS)
        if done.returncode:
            raise QueryError(f"promtool {' '.join(words[:3])}: {done.stderr.strip()[-800:]}")

    def _start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    "--storage.tsdb.retention.time=100y",
                    f"--query.lookback-delta={self._step + 1}s",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        poll_until(f"http://127.0.0.1:{self._port}/-/ready")

    def _stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=30)
            self._process = None


def poll_until(url: str) -> None:
    """Ask until Prometheus is ready.

    Raises:
        TimeoutError: it was not in time.
    """
    began = time.monotonic()
    while time.monotonic() - began < READY_SECONDS:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise TimeoutError(f"Prometheus was not ready within {READY_SECONDS} s")
