"""One SMTP connection once it is set up: commands out, replies in, bodies with flow control.

No exceptions on the way: when the connection is over, for whatever reason, `broken` says why, and `ask` returns the replies that
came before. So the dialogue can always say what the server had answered when it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from mailroom.transports.smtp_reply import Answer, Garbled, ReplyReader, shorten


@dataclass(frozen=True, slots=True)
class Features:
    """What the server offered in its last EHLO (RFC 5321 2.2)."""

    pipelining: bool = False
    eight_bit: bool = False
    utf8: bool = False
    size: bool = False
    max_size: int = 0
    """Bytes of a message (RFC 1870); 0 is no limit."""


class Wire(asyncio.Protocol):
    """An open connection, signed in and idle. Deadlines are times of the event loop's clock, in seconds."""

    def __init__(self, transport: asyncio.Transport, features: Features, *, tell: Callable[[str, str, bool], None] | None = None) -> None:
        self.features = features
        self._tell = tell
        self._asked: list[str] = []
        self.broken = ""
        """Why nothing more can be done with it; empty while it is well."""
        self.spoke: Answer | None = None
        """What the server said without being asked; it breaks the wire."""
        self.used = 0
        """Mails that were begun on it."""
        self.dirty = False
        """The last mail was left half-way: RSET before the next one."""
        self.idle_since = 0.0
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._answers: list[Answer] = []
        self._wanted = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self.lost = self._loop.create_future()
        transport.set_protocol(self)
        if transport.is_closing():
            self._break("the server closed the connection")

    async def ask(self, data: bytes, replies: int, deadline: float) -> list[Answer]:
        """Send and return the replies; fewer if the connection is over before, or a 421 ends it."""
        self._wanted, self._answers = replies, []
        if self._tell:
            self._asked = _names(data, replies)
        self._write(data)
        if not self.broken:
            await self._wait(deadline)
        self._wanted = 0
        return self._answers

    async def send(self, data: bytes, deadline: float) -> None:
        """Send a part of a body; returns when the next part may come, or when the connection is over."""
        self._write(data)
        if self._paused and not self.broken:
            await self._wait(deadline)

    def quit(self) -> None:
        """Say goodbye and close, without waiting for the answer (RFC 5321 4.1.1.10 lets the server decide)."""
        if not self.broken:
            self._write(b"QUIT\r\n")
            self.broken = "we closed the connection"
        self._transport.close()

    def drop(self, why: str) -> None:
        """Close at once; what was not sent is thrown away."""
        self._break(why)

    def _write(self, data: bytes) -> None:
        if not self.broken:
            self._transport.write(data)

    async def _wait(self, deadline: float) -> None:
        waiter = self._waiter = self._loop.create_future()
        timer = self._loop.call_at(deadline, self._expire)
        try:
            await waiter
        except asyncio.CancelledError:
            self._break("the attempt was stopped")
            raise
        finally:
            timer.cancel()
            self._waiter = None

    def _expire(self) -> None:
        rest = self._reader.unfinished
        self._break("the server took too long to answer" + (f"; all that came was {_show(rest)}" if rest else ""))

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def _break(self, why: str) -> None:
        if not self.broken:
            self.broken = why
        self._transport.abort()
        self._wake()

    # -- called by the event loop

    def data_received(self, data: bytes) -> None:
        if self.broken:
            return
        try:
            for answer in self._reader.feed(data):
                self._take(answer)
        except Garbled as problem:
            self._break(str(problem))
        if not self._wanted:
            self._wake()

    def _take(self, answer: Answer) -> None:
        if self.broken:
            return
        if not self._wanted:
            self.spoke = answer
            self._break(f"the server spoke out of turn: {answer.reply()}")
            return
        self._answers.append(answer)
        self._wanted -= 1
        if self._tell:
            self._tell(self._asked[len(self._answers) - 1], str(answer.reply()), answer.code < 400)
        if answer.code == 421:  # RFC 5321 3.8: the server closes now, whatever else was asked
            self._break(str(answer.reply()))

    def eof_received(self) -> bool:
        rest = self._reader.unfinished
        self._break(f"the server closed the connection in the middle of a reply: {_show(rest)}" if rest else "the server hung up")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._break(f"the connection broke: {exc}" if exc else "the server closed the connection")
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if not self._wanted:
            self._wake()


def _names(data: bytes, replies: int) -> list[str]:
    """What is answered by each reply: the commands, or the end of a mail."""
    commands = [line.split(b" ")[0].decode("ascii", "replace") for line in data.split(b"\r\n", replies)[:replies]]
    return commands if len(commands) == replies and all(each.isalpha() and len(each) == 4 for each in commands) else ["content"] * replies


def _show(rest: bytes) -> str:
    return repr(shorten(rest[:80].decode("latin-1")))
