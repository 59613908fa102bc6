"""The HTTP door of a training pod: `/progress`, `/metrics` and `/healthz` on one port.

It runs in threads of its own and only reads, so nobody who asks, or stops asking midway, slows training down.

Not here: what is answered (`journal.py`, `metrics.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from finetune_trainer.contract import to_json
from finetune_trainer.reporting.journal import Journal
from finetune_trainer.reporting.metrics import Metrics

READER_TIMEOUT_SECONDS = 5
"""A reader that neither sends nor takes anything for so long is dropped."""

Answer = Callable[[str], tuple[bytes, str]]
"""Takes the header Accept; gives a body and its type."""

JSON = "application/json"


class _Handler(BaseHTTPRequestHandler):
    timeout = READER_TIMEOUT_SECONDS
    answers: Mapping[str, Answer]

    def do_GET(self) -> None:
        answer = self.answers.get(self.path.partition("?")[0])
        unknown = b"try /progress, /metrics or /healthz\n", "text/plain"
        body, content_type = answer(self.headers.get("Accept", "")) if answer else unknown
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Stay silent: a line per poll would bury the training's own lines."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, _request: object, _client: object) -> None:
        """Stay silent about readers that went away."""


def serve(journal: Journal, metrics: Metrics, port: int) -> int | None:
    """Start answering and return the port (a free one for 0), or None if it is taken.

    A run without a door is worth more than no run, so a taken port is told about and nothing else.
    """
    answers: dict[str, Answer] = {
        "/progress": lambda _accept: (to_json(journal.progress).encode(), JSON),
        "/metrics": metrics.exposition,
        "/healthz": lambda _accept: (b'{"status":"ok"}', JSON),
    }
    handler = type("Handler", (_Handler,), {"answers": answers})
    try:
        server = _Server(("", port), handler)
    except OSError as error:
        print(f"warning: no progress is served, port {port}: {error.strerror}")
        return None
    threading.Thread(target=server.serve_forever, name="reporting", daemon=True).start()
    return int(server.server_port)
