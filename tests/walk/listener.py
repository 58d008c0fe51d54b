"""A program that is told what happens, as a thread of the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from standardwebhooks.webhooks import Webhook as Witness


@dataclass
class Told:
    """What came; `status` is what is answered from now on."""

    status: int = 204
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    before_answer: Callable[[], object] = lambda: None

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """The id and the event of each call."""
        return [(headers["webhook-id"], json.loads(body)) for headers, body in list(self.calls)]

    def ids(self, event: str, message: str) -> set[str]:
        return {number for number, told in self.events() if told["type"] == event and told["data"].get("id") == message}

    def verify(self, secret: str) -> None:
        """Raises WebhookVerificationError if one of the calls is not signed with it."""
        for headers, body in self.calls:
            Witness(secret).verify(body, headers)


@contextmanager
def told(port: int = 0) -> Iterator[Told]:
    """A listener on a port of this machine; a free one without."""
    heard = Told()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.calls.append(({name.lower(): value for name, value in self.headers.items()}, body))
            heard.before_answer()
            with suppress(ConnectionError):
                self.send_response(heard.status)
                self.end_headers()
                self.wfile.write(b"heard")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    heard.url = f"http://127.0.0.1:{server.server_port}/hook"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
