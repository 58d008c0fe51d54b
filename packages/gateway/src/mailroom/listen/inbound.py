"""What a client sent: as lines for commands, as chunks for DATA, and dropped once we hang up.

It takes the place of asyncio's StreamReader, whose small limit would stop and start the reading several times per message, and
which wakes its reader for every chunk. Memory stays bounded: above a mark the transport pauses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from mailroom.listen.data import DataDecoder
from mailroom_core.errors import Refused

LINE_LIMIT = 4096
"""Of a command in bytes: 512 plus what extensions add (RFC 5321 4.5.3.1.4), and our own credentials in AUTH."""
_HIGH = 64 * 1024
"""Bytes of commands that wait before the client is paused."""
_RUN = 32
"""Lines that one session may have answered before the others get their turn."""


class Inbound:
    """One connection's incoming bytes, from a `transport` that both reads and writes.

    `flush` is awaited before each wait, if it gives something to wait for: now the client needs our replies.
    """

    __slots__ = (
        "_buffer",
        "_decoder",
        "_dropped",
        "_eof",
        "_flush",
        "_loop",
        "_news",
        "_paused",
        "_run",
        "_transport",
        "_waiter",
        "began",
        "heard",
        "lines",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: Any, flush: Callable[[], Awaitable[None] | None]) -> None:
        self._loop = loop
        self._transport = transport
        self._flush = flush
        self._buffer = bytearray()
        self._decoder: DataDecoder | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._news = False
        self._eof = False
        self._paused = False
        self._dropped: int | None = None
        self._run = 0
        self.began = 0.0
        """The loop's time when DATA began."""
        self.heard = 0.0
        """The loop's time of the last chunk of DATA."""
        self.lines = 0
        """How many were read."""

    @property
    def decoder(self) -> DataDecoder | None:
        """Not None while the client is in the middle of its DATA: nothing that comes may be read as a command."""
        return self._decoder

    def use(self, transport: Any) -> None:
        """From now on the bytes come from here (STARTTLS)."""
        self._transport = transport
        self._paused = False

    def forget(self) -> None:
        """Drop what has come and was not read."""
        self._buffer.clear()

    def feed(self, data: bytes) -> None:
        """Bytes from the wire."""
        if self._dropped is not None:
            self._dropped += len(data)
            self._wake()
            return
        decoder = self._decoder
        if decoder is None:
            self._buffer += data
            if len(self._buffer) > _HIGH:
                self._pause()
        else:
            self.heard = self._loop.time()
            self._buffer += decoder.feed(data)
            if not decoder.ready:
                return
            if decoder.done:
                self._decoder = None
            else:
                self._pause()
        self._wake()

    def feed_eof(self) -> None:
        self._eof = True
        self._wake()

    async def readuntil(self) -> bytes:
        """The next line with its CR LF. Raises Refused (521) if it ends otherwise, or not soon."""
        end = self._buffer.find(b"\n", 0, LINE_LIMIT)
        while end < 0:
            if len(self._buffer) >= LINE_LIMIT:
                raise Refused(521, "5.5.2", f"A line is longer than {LINE_LIMIT} bytes; closing the connection")
            self._run = 0
            await self._more()
            end = self._buffer.find(b"\n", 0, LINE_LIMIT)
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        if line.find(b"\r") != end - 1 or end == 0 or b"\0" in line:
            raise Refused(521, "5.5.2", "Lines must end with CR LF and hold no other CR, LF or NUL; closing the connection")
        self.lines += 1
        self._run += 1
        if self._run >= _RUN:
            self._run = 0
            await asyncio.sleep(0)
        return line

    readline = readuntil  # what aiosmtpd calls in the middle of AUTH

    async def receive(self, decoder: DataDecoder) -> None:
        """Feed `decoder` until it is ready. At its end, what follows is for `readuntil` again."""
        if self._decoder is None:
            self._decoder = decoder
            self.began = self.heard = self._loop.time()
            early = bytes(self._buffer)
            self._buffer.clear()
            if early:
                self.feed(early)
        while not decoder.ready:
            await self._more()

    async def speaks_within(self, seconds: float) -> bool:
        """Whether anything comes before this time is over."""
        try:
            async with asyncio.timeout(seconds):
                while not self._buffer:
                    await self._more()
        except TimeoutError:
            return False
        return True

    async def drop(self, at_most: int) -> None:
        """Throw away what still comes, until the client hangs up or has sent `at_most` bytes."""
        self._buffer.clear()
        self._decoder = None
        self._dropped = 0
        while not self._eof and self._dropped < at_most:
            await self._more()

    async def _more(self) -> None:
        """Until something came. After the end of the stream nothing will, and the session is over."""
        if self._paused:
            self._resume()
        self._news = False
        congested = self._flush()
        if congested is not None:
            await congested
            if self._news:
                return
        if self._eof:
            raise asyncio.CancelledError
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        self._news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _pause(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        self._paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
