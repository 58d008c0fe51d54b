"""One HTTP connection, with its limits: uvicorn keeps the protocol, this says how long and how much.

- **Nobody is kept waiting for.** Head and body have to come at a pace, an answer has to be taken at one; who is slower is cut off.
- **An early answer is read.** It waits a moment for the rest of the body. A connection that ends in the middle of a request says that
  it will say no more, and listens on for a while: what a socket has not read when it is closed makes the other side lose the answer
  (RFC 9112 9.6).
- **There is room for those who ask.** When there are too many connections, the one that has asked for nothing for the longest time
  goes. When all of them are at work, everybody but supervisors is told to come back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SUPERVISORS = ("/health", "/ready")
"""What is answered however many ask."""
RESERVE = 50
"""Connections above the limit, so that supervisors and refusals have some."""
OVERHEAD = 64 * 1024
"""Bytes of a request that are not its body."""
OVERHEAD_RATE = 8
"""And so many more for each byte of the body: one byte in a chunk of its own takes six."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds, bytes, bytes per second."""

    connections: int = 300
    head: float = 20
    body: float = 30
    """A client may say nothing for so long, or be so much behind `rate`."""
    rate: int = 1024
    answer: float = 60
    answer_rate: int = 4096
    """An answer has to be taken in `answer` seconds, and as many more as its length takes at this rate."""
    hear_out: float = 3
    """How long an answer waits for a body that nobody wants: a proxy may take it badly if it comes before."""
    linger: float = 30
    linger_idle: float = 5
    linger_bytes: int = 256 * 1024**2


@dataclass(slots=True)
class Crowd:
    """The connections of one server."""

    all: set[Connection] = field(default_factory=set)
    idle: dict[Connection, None] = field(default_factory=dict)
    """Those without a request at work, the longest first."""

    @property
    def busy(self) -> int:
        return len(self.all) - len(self.idle)

    def rest(self, connection: Connection) -> None:
        self.idle.pop(connection, None)
        self.idle[connection] = None

    def work(self, connection: Connection) -> None:
        self.idle.pop(connection, None)

    def leave(self, connection: Connection) -> None:
        self.all.discard(connection)
        self.idle.pop(connection, None)

    def enter(self, connection: Connection, limit: int) -> None:
        self.all.add(connection)
        self.rest(connection)
        if len(self.all) > limit:
            oldest = next(iter(self.idle))
            if oldest is not connection or len(self.all) > limit + RESERVE:
                self.leave(oldest)
                oldest.drop()


class _Transport(asyncio.Transport):
    """The transport as uvicorn sees it: `close` is a wish, and the connection knows how to end."""

    def __init__(self, real: asyncio.Transport, end: Callable[[], None]) -> None:
        super().__init__()
        self.real = real
        self._end = end
        self._closing = False

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._end()

    def is_closing(self) -> bool:
        return self._closing or self.real.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_closing():
            self.real.write(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.real.get_extra_info(name, default)

    def pause_reading(self) -> None:
        if not self.is_closing():
            self.real.pause_reading()

    def resume_reading(self) -> None:
        if not self.is_closing():
            self.real.resume_reading()


class Connection(HttpToolsProtocol):
    """uvicorn's protocol within `Limits`."""

    def __init__(self, limits: Limits, crowd: Crowd, **given: Any) -> None:
        super().__init__(**given)
        self._limits = limits
        self._crowd = crowd
        self._real: asyncio.Transport
        self._hearing: asyncio.TimerHandle | None = None
        self._saying: asyncio.TimerHandle | None = None
        self._whole = True
        """Nothing of a request is still to come."""
        self._in_head = True
        self._read = self._body = 0
        self._body_due = self._linger_until = 0.0
        self._lingered: int | None = None
        """Bytes that were thrown away since the last word; None as long as we listen."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        self._real = transport
        super().connection_made(_Transport(transport, self._end))
        self._hear(self._limits.head, self._head_late)
        self._crowd.enter(self, self._limits.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.leave(self)
        super().connection_lost(exc)
        self._heard()
        self._said()

    def drop(self) -> None:
        """Without a word."""
        self._real.abort()

    # what comes in

    def data_received(self, data: bytes) -> None:
        if self._lingered is not None:
            self._linger_on(len(data))
            return
        if self.transport.is_closing():
            return
        self._read += len(data)
        super().data_received(data)
        if self._read - self._body * (1 + OVERHEAD_RATE) > OVERHEAD:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        self._whole, self._in_head = False, True
        super().on_message_begin()
        self._hear(self._limits.head, self._head_late)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # not a trailer, which nobody here asks for
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._crowd.work(self)
        self._body_due = self.loop.time() + self._limits.body
        self._hear(self._limits.body, self._body_late)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        self._body_due = min(self._body_due + len(body) / self._limits.rate, self.loop.time() + self._limits.body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._heard()
        self._whole = True
        self._read = self._body = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, in the form of all our errors."""
        self._whole = False
        text = "This is no HTTP request; look at its first line, its header fields and its length"
        body = json.dumps({"title": "Bad Request", "status": 400, "detail": text}).encode()
        head = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        self.transport.write(head % len(body) + body)
        self.transport.close()

    # what goes out

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if self._crowd.busy > self._limits.connections and cycle.scope["path"] not in SUPERVISORS:
            app = _busy

        async def answering(scope: Any, receive: Any, send: Any) -> None:
            async def sent(message: Any) -> None:
                if message["type"] == "http.response.start" and not self._whole:
                    await self._hear_out(cycle)
                await send(message)

            await app(scope, receive, sent)

        super()._start_asgi_task(cycle, answering)

    async def _hear_out(self, cycle: Any) -> None:
        """Before an early answer, what is left of the body is thrown away; who needs long for it is told that this was the last word."""
        if not cycle.waiting_for_100_continue:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.hear_out):
                    while not self._whole and not cycle.disconnected:
                        await cycle.receive()
        if not self._whole:
            cycle.keep_alive = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.pipeline and not self.transport.is_closing():
            self._crowd.rest(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._say()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._said()

    def shutdown(self) -> None:
        if self._lingered is None:
            super().shutdown()
        else:
            self._real.close()

    # how it ends

    def _end(self) -> None:
        self._heard()
        self._say()
        if self._whole or self._real.is_closing():
            self._real.close()
            return
        self._lingered = 0
        self._linger_until = self.loop.time() + self._limits.linger
        self._crowd.rest(self)
        self._real.write_eof()
        self._real.resume_reading()
        self._hear(self._limits.linger_idle, self._real.close)

    def _linger_on(self, length: int) -> None:
        assert self._lingered is not None
        self._lingered += length
        left = self._linger_until - self.loop.time()
        if self._lingered > self._limits.linger_bytes or left <= 0:
            self._real.close()
        else:
            self._hear(min(self._limits.linger_idle, left), self._real.close)

    def _head_late(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:  # the answer before is still under way
            self._hear(self._limits.head, self._head_late)
        elif self._whole:  # nothing was said
            self._real.close()
        else:
            self._refuse(b"408 Request Timeout")

    def _body_late(self) -> None:
        now = self.loop.time()
        if self.flow.read_paused:  # it is we who don't listen
            self._body_due = now + self._limits.body
        if now < self._body_due:
            self._hear(self._body_due - now, self._body_late)
        else:
            self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        """Nothing more of this request is wanted."""
        if self.transport.is_closing():
            return
        answering = not self._in_head and self.cycle is not None
        if not (answering and self.cycle.response_started):
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        if answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _hear(self, seconds: float, otherwise: Callable[[], object]) -> None:
        """The client has so long to say more."""
        self._heard()
        self._hearing = self.loop.call_later(seconds, otherwise)

    def _heard(self) -> None:
        if self._hearing is not None:
            self._hearing.cancel()
            self._hearing = None

    def _say(self) -> None:
        """The client has a while to take what is written."""
        self._said()
        seconds = self._limits.answer + self._real.get_write_buffer_size() / self._limits.answer_rate
        self._saying = self.loop.call_later(seconds, self.drop)

    def _said(self) -> None:
        if self._saying is not None:
            self._saying.cancel()
            self._saying = None


async def _busy(scope: Scope, receive: Receive, send: Send) -> None:
    body = b'{"title": "Service Unavailable", "status": 503, "detail": "Too many requests are at work; try again in a few seconds"}'
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"retry-after", b"5"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
