"""Where change notifications go: a small web server that Graph can reach."""

from __future__ import annotations

import http.server
import threading
from typing import Self
from urllib.parse import parse_qs, urlsplit


class Receiver(http.server.ThreadingHTTPServer):
    """Answers the handshake, and keeps the bodies of all other requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []
        self._thread = threading.Thread(target=self.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/notify"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = parse_qs(urlsplit(self.path).query).get("validationToken")
        if token is None:
            self.server.bodies.append(body)
        self.send_response(202 if token is None else 200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(token[0].encode() if token else b"")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests say what matters."""
