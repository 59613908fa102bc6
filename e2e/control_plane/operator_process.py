"""The operator of this checkout, or of another, as a process of its own, against an API server that the test started.

with OperatorProcess(server, folder) as operator:
    operator.cpu_seconds(), operator.memory_bytes()
"""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import typing

from control_plane import ControlPlane, die_with_parent, free_ports, poll_until

ROOT = pathlib.Path(__file__).resolve().parents[2]

READY_SECONDS = 60
"""From its start to watches that run; usually 2 s."""

STOP_SECONDS = 10
"""Time that it gets to end by itself, as in its pod."""


class OperatorProcess:
    """An operator that lives as long as the `with` block.

    `config` is its file, `profile` a file for cProfile, and `checkout` a tree of this project that it is run from.
    """

    def __init__(
        self,
        server: ControlPlane,
        folder: pathlib.Path,
        *,
        name: str = "operator",
        checkout: pathlib.Path = ROOT,
        profile: pathlib.Path | None = None,
        **config: typing.Any,
    ) -> None:
        self._folder = folder
        self._profile = profile
        self._checkout = checkout
        self._name = name
        self._kubeconfig = server.kubeconfig(folder / f"{name}-kubeconfig.json", "operator")
        self._config = config
        self._port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> typing.Self:
        """Start it and wait until its watches run."""
        self.start()
        poll_until(self.ready, within=READY_SECONDS, waiting_for="the operator's watches")
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.stop()

    @property
    def log(self) -> pathlib.Path:
        """What it says."""
        return self._folder / f"{self._name}.log"

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the process without waiting for it."""
        (self._port,) = free_ports(1)
        file = self._folder / f"{self._name}-config.yaml"
        file.write_text(json.dumps({"server": {"port": self._port}, **self._config}), "utf-8")
        environment = {
            **os.environ,
            "KUBECONFIG": str(self._kubeconfig),
            "PYTHONPATH": os.pathsep.join(str(self._checkout / part) for part in ("operator", "trainer")),
        }
        environment.pop("KUBERNETES_SERVICE_HOST", None)
        with self.log.open("ab") as log:
            profiled = ["-m", "cProfile", "-o", str(self._profile)] if self._profile else []
            command = [sys.executable, *profiled, "-m", "finetune_operator", "--config", str(file)]
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads run, and it must not outlive the test
            )

    def stop(self) -> int:
        """End the process as the kubelet does, and return its exit status."""
        process = typing.cast("subprocess.Popen[bytes]", self.process)
        for sign in (signal.SIGCONT, signal.SIGTERM):
            process.send_signal(sign)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def ready(self) -> bool:
        """Ask it whether its watches run."""
        if not self.alive:
            raise AssertionError(f"the operator ended\n{self.log.read_text('utf-8')[-2000:]}")
        return self._asked("/readyz")[0] == http.HTTPStatus.OK

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its series."""
        lines = self._asked("/metrics")[1].splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """Return its resident memory."""
        return int(self._proc("statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _proc(self, file: str) -> str:
        return pathlib.Path(f"/proc/{typing.cast('subprocess.Popen[bytes]', self.process).pid}/{file}").read_text()

    def _asked(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()
