"""Other sides to fetch from: a web server with TLS, an object store, a registry and a hub, each started once."""

import http.server
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from finetune_trainer.sources import retries, store

REPOSITORY = Path(__file__).parents[3]
BCRYPT_OF_SECRET = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
START_SECONDS = 60
"""Longest that a server takes to start on a busy machine."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Retry at once, and keep the pod's own disk inside the test's folder."""
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(store, "SCRATCH", tmp_path / "scratch")


class Handler(http.server.BaseHTTPRequestHandler):
    """Hands each request to the server's current answer and remembers it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, {name.title(): value for name, value in self.headers.items()}))
        self.server.answer(self)

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the library's name
    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Make a certificate for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    made = SimpleNamespace(key=folder / "key.pem", certificate=folder / "certificate.pem")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(["openssl", "req", "-x509", *kind, *subject, *files], check=True, capture_output=True)
    return made


@pytest.fixture
def web(certificate: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Serve https on localhost; `web.answer` is a function of a Handler, `web.asked` what was asked so far."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
    yield from _served(server, f"https://localhost:{server.server_port}")


@pytest.fixture
def plain_web() -> Iterator[SimpleNamespace]:
    """Serve http on localhost, in the same way."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    yield from _served(server, f"http://localhost:{server.server_port}")


def _served(server: http.server.ThreadingHTTPServer, url: str) -> Iterator[SimpleNamespace]:
    server.daemon_threads = True
    server.asked, server.url, server.answer = [], url, lambda handler: handler.reply(404)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run moto's server, which is a real S3 as far as a client can tell, and give its endpoint."""
    program = REPOSITORY / ".venv-s3-server" / "bin" / "moto_server"
    if not program.exists():
        pytest.skip("the object store is missing: run `.ci/venv s3-server`")
    yield from _started([str(program), "-H", "127.0.0.1", "-p", "{port}"], tmp_path_factory.mktemp("s3"), "/")


@pytest.fixture(scope="session")
def registry_program() -> str:
    """Give the path of the registry, built the first time."""
    command = ["python3", str(REPOSITORY / "e2e" / "cluster"), "registry-bin"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@pytest.fixture(scope="session")
def registry(registry_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a registry that is open to everybody, and give its host and port."""
    yield from _registry(registry_program, tmp_path_factory.mktemp("registry"), "")


@pytest.fixture(scope="session")
def closed_registry(registry_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a registry for one user, `reader` with the password `secret`."""
    folder = tmp_path_factory.mktemp("closed-registry")
    (folder / "htpasswd").write_text(f"reader:{BCRYPT_OF_SECRET}\n")
    yield from _registry(registry_program, folder, f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n")


def _registry(program: str, folder: Path, more: str) -> Iterator[str]:
    config = (
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n"
        "http: {addr: '127.0.0.1:{port}', secret: none}\n" + more
    )
    for url in _started([program, "serve", str(folder / "config.yaml")], folder, "/v2/", config):
        yield url.removeprefix("http://")


def _started(command: list[str], folder: Path, path: str, config: str = "") -> Iterator[str]:
    """Start a server on a free port, wait until it answers, and stop it in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    if config:
        (folder / "config.yaml").write_text(config.replace("{port}", port))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [part.replace("{port}", port) for part in command],
            stdout=log,
            stderr=log,
            env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none", "HOME": str(folder)},
        )
    try:
        eventually(lambda: _answers(f"http://127.0.0.1:{port}{path}") or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
