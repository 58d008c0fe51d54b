"""A target that does what it is told, also what nobody should do."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from standardwebhooks.webhooks import Webhook as Witness

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def number(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> object:
        """The event, if the standard's own library believes the signature. Raises WebhookVerificationError."""
        return Witness(secret).verify(self.body, self.headers)


def status(code: int, *, headers: str = "", body: bytes = b"") -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {code} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    return answer


async def hang(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff" * 5000 + b"\r\n\r\n")
    writer.close()


async def endless(writer: asyncio.StreamWriter) -> None:
    """Megabytes, without an end."""
    writer.write(b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"y" * 0x10000 + b"\r\n")
        await writer.drain()


async def endless_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 X\r\n")
    while True:
        writer.write(b"X-Field: " + b"y" * 1000 + b"\r\n")
        await writer.drain()


def drip(ticks: Callable[[], Awaitable[None]]) -> Answer:
    """A head that comes byte by byte, one with each tick."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nX-Slow: ")
        while True:
            writer.write(b"y")
            await writer.drain()
            await ticks()

    return answer


@dataclass
class Scripted:
    """Answers with what is in `script`, then with `then`. `received` is what came."""

    script: list[Answer] = field(default_factory=list)
    then: Answer = field(default_factory=lambda: status(204))
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    under_way: int = 0
    most_under_way: int = 0
    port: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, host: str = "127.0.0.1", scheme: str = "http", path: str = "/hook") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def has(self, count: int) -> None:
        """Returns when so many requests have come."""
        async with asyncio.timeout(20):
            while len(self.received) < count:
                self._changed.clear()
                await self._changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while request := await _request(reader):
                self.received.append(request)
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
                self._changed.set()
                try:
                    await (self.script.pop(0) if self.script else self.then)(writer)
                    await writer.drain()
                finally:
                    self.under_way -= 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()


async def _request(reader: asyncio.StreamReader) -> Received | None:
    line = (await reader.readline()).decode()
    if not line:
        return None
    headers = {}
    while text := (await reader.readline()).decode().strip():
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    return Received(line.split()[1], headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@asynccontextmanager
async def running(*script: Answer, then: Answer | None = None, context: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    target = Scripted(list(script))
    if then is not None:
        target.then = then
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await target._serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    target.port = server.sockets[0].getsockname()[1]
    try:
        yield target
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
