"""A mail server on loopback that says what a test wants: a greeting, and an answer to each line.

with MailServer(greeting, answer) as server:
    ... connect to 127.0.0.1:server.port; server.heard has every line ...
"""

from __future__ import annotations

import socketserver
from collections.abc import Callable
from threading import Thread
from typing import Self


class MailServer(socketserver.ThreadingTCPServer):
    """An empty answer ends the connection."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, greeting: bytes, answer: Callable[[bytes], bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.port: int = self.server_address[1]
        self.greeting = greeting
        self.answer = answer
        self.heard: list[bytes] = []
        self._thread = Thread(target=lambda: self.serve_forever(0.02), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Connection(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        try:
            self.wfile.write(self.server.greeting)
            while line := self.rfile.readline():
                self.server.heard.append(line)
                answer = self.server.answer(line)
                if not answer:
                    return
                self.wfile.write(answer)
        except OSError:
            pass  # the other side has gone
