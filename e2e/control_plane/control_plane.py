"""etcd and kube-apiserver as two plain processes: a real API server in seconds, with no node, no Docker and no root.

    with ControlPlane(folder) as server:
        status, answer = server.request("GET", "/version")

`folder` is what `python3 e2e/cluster control-plane-bin` prints. Standard library only. Everything lies in a temporary
folder; all processes end with the block, and with the process that started them however that ends.

Every write is in the audit log (`audit.py` reads it), with the user who made it. With `job_controller=True` Kubernetes'
own controller of batch/v1 Jobs runs too and makes their pods, which nobody schedules; at its own default, 20 a second.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import pathlib
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import typing
import urllib.parse
from collections.abc import Callable

READY_SECONDS = 60
"""From the first process to a ready API server; usually 3 s, more while other work uses the cores."""

REQUEST_SECONDS = 30
"""Longest time one request may take."""

STOP_SECONDS = 10
"""Time that a process gets to end by itself."""

ATTEMPTS = 3
"""Starts before giving up: between choosing a free port and using it, another process may take it."""

USERS = {
    "admin": ("admin", "system:masters"),
    "operator": (
        "system:serviceaccount:finetune-system:finetune-operator",
        "system:serviceaccounts,system:serviceaccounts:finetune-system",
    ),
    "job-controller": ("system:serviceaccount:kube-system:job-controller", "system:masters"),
}
"""Names and groups of those who may ask. The operator waits its turn among service accounts, as in a cluster."""

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "verbs": ["create", "update", "patch", "delete"]}, {"level": "None"}],
}

PR_SET_PDEATHSIG = 1
KEY_HEAD, KEY_TAIL = bytes.fromhex("30310201010420"), bytes.fromhex("a00a06082a8648ce3d030107")
"""DER of an EC private key on P-256 around the 32 bytes of its number; the public half follows from it."""

Json = dict[str, typing.Any]


class ControlPlaneError(Exception):
    """The API server did not start; the message ends with what the processes said last."""


class ControlPlane:
    """An API server that lives as long as the `with` block."""

    def __init__(self, programs: pathlib.Path, *, job_controller: bool = False, pods_per_second: int = 20) -> None:
        self.programs = programs
        self._job_controller = job_controller
        self._pods_per_second = pods_per_second
        self._tokens = {user: secrets.token_hex(16) for user in USERS}
        self._folder = pathlib.Path()
        self._port = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> typing.Self:
        """Start both processes and wait until the API server is ready."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._start()
            except ControlPlaneError:
                self._stop()
                if attempt == ATTEMPTS:
                    raise
            except BaseException:
                self._stop()
                raise
            else:
                break
        return self

    def __exit__(self, *_: object) -> None:
        """End both processes and remove what they wrote."""
        self._stop()

    @property
    def url(self) -> str:
        """Where the API server answers."""
        return f"https://127.0.0.1:{self._port}"

    def request(self, method: str, path: str, body: Json | None = None, **query: str) -> tuple[int, Json]:
        """Send one request as an administrator and return the HTTP status and the answer."""
        where = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        content = "application/merge-patch+json" if method == "PATCH" else "application/json"
        bearer = f"Bearer {self._tokens['admin']}"
        headers = {"Authorization": bearer, "Content-Type": content, "Accept": "application/json"}
        trusted = ssl.create_default_context(cafile=str(self._certificate))
        with contextlib.closing(
            http.client.HTTPSConnection("127.0.0.1", self._port, timeout=REQUEST_SECONDS, context=trusted)
        ) as connection:
            connection.request(method, where, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            text = response.read().decode()
        return response.status, json.loads(text) if text.startswith("{") else {"message": text}

    @property
    def audit_log(self) -> pathlib.Path:
        """The API server's log of all writes, one JSON object a line."""
        return self._folder / "audit.log"

    def kubeconfig(self, path: pathlib.Path, user: str = "admin") -> pathlib.Path:
        """Write a kubeconfig of one of `USERS` for kubectl or a client library, and return its path."""
        cluster = {"server": self.url, "certificate-authority": str(self._certificate)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": self._tokens[user]}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": user}}],
            "current-context": "local",
        }
        path.write_text(json.dumps(content), "utf-8")
        return path

    @property
    def _certificate(self) -> pathlib.Path:
        return self._folder / "certificates/apiserver.crt"

    def _start(self) -> None:
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="control-plane-"))
        client, peer, self._port = free_ports(3)
        self._run("etcd", *_etcd_flags(self._folder, client, peer))
        self._run("kube-apiserver", *self._api_server_flags(client))
        try:
            poll_until(self._ready, within=READY_SECONDS, waiting_for="the API server")
        except TimeoutError as late:
            raise ControlPlaneError(f"{late}\n{self._last_words()}") from late
        if self._job_controller:
            kubeconfig = self.kubeconfig(self._folder / "job-controller.json", "job-controller")
            self._run("kube-controller-manager", *_job_controller_flags(kubeconfig, self._pods_per_second))

    def _api_server_flags(self, etcd_port: int) -> tuple[str, ...]:
        key = self._folder / "service-accounts.pem"
        key.write_text(_private_key(), "ascii")
        tokens = self._folder / "tokens.csv"
        lines = [f'{self._tokens[user]},{name},{user},"{groups}"\n' for user, (name, groups) in USERS.items()]
        tokens.write_text("".join(lines), "ascii")
        policy = self._folder / "audit-policy.json"
        policy.write_text(json.dumps(AUDIT_POLICY), "utf-8")
        return (
            f"--etcd-servers=http://127.0.0.1:{etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={self._folder / 'certificates'}",
            f"--token-auth-file={tokens}",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            "--anonymous-auth=false",
            "--authorization-mode=AlwaysAllow",
            "--service-account-issuer=https://localhost",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--disable-admission-plugins=ServiceAccount",
            "--watch-cache=true",
            "--profiling=false",
        )

    def _run(self, program: str, *flags: str) -> None:
        with (self._folder / f"{program}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(
                    [str(self.programs / program), *flags],
                    cwd=self._folder,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads run yet, and it must not outlive us
                )
            )

    def _ready(self) -> bool:
        if ended := [process.args[0] for process in self._processes if process.poll() is not None]:
            raise ControlPlaneError(f"{', '.join(ended)} ended\n{self._last_words()}")
        return self._certificate.exists() and self.request("GET", "/readyz")[0] == http.HTTPStatus.OK

    def _last_words(self) -> str:
        logs = sorted(self._folder.glob("*.log"))
        return "\n".join("\n".join(log.read_text("utf-8", "replace").splitlines()[-10:]) for log in logs)

    def _stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        if self._folder != pathlib.Path():
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = pathlib.Path()


def poll_until(ask: Callable[[], bool], *, within: float, waiting_for: str, every: float = 0.05) -> None:
    """Ask every so many seconds until the answer is true; no connection, or half a certificate, is one that is not."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if ask():
                return
        time.sleep(every)
    raise TimeoutError(f"waited {within:.0f} s for {waiting_for}")


def poll_until_same(look: Callable[[], object], *, seconds: float, within: float, waiting_for: str) -> None:
    """Look until what is seen has not changed for so many seconds."""
    last, since = look(), time.monotonic()

    def same() -> bool:
        nonlocal last, since
        seen = look()
        if seen != last:
            last, since = seen, time.monotonic()
        return time.monotonic() - since > seconds

    poll_until(same, within=within, waiting_for=waiting_for)


def _etcd_flags(folder: pathlib.Path, client: int, peer: int) -> tuple[str, ...]:
    return (
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync=true",
        "--log-level=warn",
    )


def _job_controller_flags(kubeconfig: pathlib.Path, pods_per_second: int) -> tuple[str, ...]:
    return (
        f"--kubeconfig={kubeconfig}",
        "--controllers=job-controller",
        "--leader-elect=false",
        "--secure-port=0",
        f"--kube-api-qps={pods_per_second}",
        f"--kube-api-burst={pods_per_second + 10}",
    )


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as open_together:  # so that no port is given twice
        sockets = [open_together.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _private_key() -> str:
    """Make a key to sign service account tokens with; kube-apiserver does not start without one."""
    number = secrets.token_bytes(31).rjust(32, b"\1")  # below the order of the curve, and never 0
    lines = ssl.DER_cert_to_PEM_cert(KEY_HEAD + number + KEY_TAIL)
    return lines.replace("CERTIFICATE", "EC PRIVATE KEY")


def die_with_parent() -> None:
    """Ask the kernel, in a new process, to end it when the one that started it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
