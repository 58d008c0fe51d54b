"""The web server in a thread of its own, with an application that answers at once or after the whole body."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from mailroom.api.web import Web

LARGE = 10 * 1024 * 1024


async def answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """`/early` refuses without a look at the body, `/whole` says how long it is."""
    if scope["path"] == "/early":
        await answer(send, 401, b"no")
        return
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    await answer(send, 200, b"%d" % length)


@contextmanager
def running(application: ASGIApp = app, **options: Any) -> Iterator[tuple[str, int]]:
    """Host and port of a web server; it is stopped at the end."""
    ready = threading.Event()
    stop: list[Callable[[], object]] = []
    address: list[str] = []

    async def serve() -> None:
        stopping = asyncio.Event()
        web = Web(lambda: application, "127.0.0.1", 0, **options)
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(stopping.set))
        address.append(web.url)
        ready.set()
        await stopping.wait()
        await web.stop()

    thread = threading.Thread(target=lambda: uvloop.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        parts = urlsplit(address[0])
        assert parts.hostname
        assert parts.port
        yield parts.hostname, parts.port
    finally:
        stop[0]()
        thread.join(30)
        assert not thread.is_alive(), "the web server stops when it is told to"


def connect(address: tuple[str, int], patience: float = 30) -> socket.socket:
    return socket.create_connection(address, timeout=patience)


def rest(client: socket.socket) -> bytes:
    """Everything until the server closes."""
    said = b""
    while piece := client.recv(65536):
        said += piece
    return said
