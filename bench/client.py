"""`python -m bench.client smtp|http PORT SESSIONS MAILS SIZE [TOKEN]`: hand in mails over kept connections; prints the seconds it took.

The same small program speaks both, so that what is compared is the gateway. On each connection one mail is under way, and each command
waits for its reply.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from typing import cast

import uvloop

from bench.load import RECIPIENT, SENDER

Talk = Generator[bytes, bytes, None]
"""What a connection says, and hears: yields what is sent (nothing at first, where the server speaks first), and gets the reply."""
_LINE = b"X" * 78 + b"\r\n"


class Unexpected(Exception):
    """A mail was not accepted."""


def mail(size: int) -> bytes:
    """A head as programs write it, and a body of about `size` bytes."""
    head = f"From: {SENDER}\nTo: {RECIPIENT}\nSubject: load\nDate: Thu, 5 Mar 2026 12:00:00 +0000\nMessage-ID: <load@bench.example>\n\n"
    return head.replace("\n", "\r\n").encode() + _LINE * (size // len(_LINE))


def smtp(left: Iterator[int], size: int, _token: str) -> Talk:
    steps = (f"MAIL FROM:<{SENDER}>\r\n".encode(), f"RCPT TO:<{RECIPIENT}>\r\n".encode(), b"DATA\r\n", mail(size) + b".\r\n")
    yield b""
    yield b"HELO load.bench.example\r\n"
    for _ in left:
        for step in steps:
            expect((yield step), b"250", b"354")


def http(left: Iterator[int], size: int, token: str) -> Talk:
    body = mail(size)
    lines = (
        f"POST /v1/messages?sender={SENDER}&recipient={RECIPIENT} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        "Content-Type: message/rfc822",
        f"Content-Length: {len(body)}",
        "\r\n",
    )
    request = "\r\n".join(lines).encode() + body
    for _ in left:
        expect((yield request), b"HTTP/1.1 202")


def expect(reply: bytes, *good: bytes) -> None:
    """Raises Unexpected."""
    if not reply.startswith(good):
        raise Unexpected(f"the gateway said {reply[:300]!r}")


class Session(asyncio.Protocol):
    """One connection; `ended` is done when it has said all."""

    def __init__(self, talk: Talk, last: bytes) -> None:
        """A reply ends with `last`."""
        self._talk = talk
        self._last = last
        self._heard = b""
        self._transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._go_on(lambda: next(self._talk))

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if self._heard.endswith(self._last):
            reply, self._heard = self._heard, b""
            self._go_on(lambda: self._talk.send(reply))

    def connection_lost(self, problem: Exception | None) -> None:
        self._end(Unexpected("the gateway closed the connection"))

    def _go_on(self, step: Callable[[], bytes]) -> None:
        assert self._transport is not None
        try:
            self._transport.write(step())
        except StopIteration:
            self._end(None)
            self._transport.close()
        except Unexpected as problem:
            self._end(problem)
            self._transport.close()

    def _end(self, problem: Unexpected | None) -> None:
        if self.ended.done():
            return
        if problem is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(problem)


async def load(kind: str, port: int, sessions: int, mails: int, size: int, token: str) -> float:
    """Seconds from the first connection to the last reply. Raises Unexpected."""
    talk, last = {"smtp": (smtp, b"\r\n"), "http": (http, b"}")}[kind]
    left = iter(range(mails))
    start = time.monotonic()
    await converse(port, [talk(left, size, token) for _ in range(sessions)], last)
    return time.monotonic() - start


async def converse(port: int, talks: Iterable[Talk], last: bytes) -> None:
    """Each on a connection of its own, all at once; a reply ends with `last`. Raises Unexpected."""
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(partial(Session, talk, last), "127.0.0.1", port) for talk in talks]
    await asyncio.gather(*(session.ended for _, session in made))


if __name__ == "__main__":
    kind, port, sessions, mails, size, *token = sys.argv[1:]
    print(uvloop.run(load(kind, int(port), int(sessions), int(mails), int(size), "".join(token))))
