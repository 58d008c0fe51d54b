"""One connection: bytes, time, replies and the end. aiosmtpd keeps the protocol; what it does slowly, loosely or not at all is
replaced here, piece by piece.

Replies are collected and leave together when we wait for the client, so a pipelining client costs one write (RFC 2920). The codes
421 and 521 mean that we hang up after them.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import StreamReaderProtocol
from collections.abc import Awaitable
from types import MethodType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, TLSSetupException

from mailroom.listen.guard import read_client
from mailroom.listen.inbound import LINE_LIMIT, Inbound
from mailroom.listen.listener import Listener
from mailroom.listen.receive import Smuggling
from mailroom.listen.replies import on_the_wire
from mailroom.listen.service import Service, shutting_down
from mailroom.observe import events
from mailroom_core.errors import Refused

_LAST_WORDS = 64 * 1024 * 1024
"""Bytes that a client may still send after we have hung up, before it reads why."""
_HANG_UP = (b"421", b"521")
_AT_ONCE = (b"221", b"502", *_HANG_UP)
"""Replies after which aiosmtpd, or we, may close the connection."""


class _LineLimits(dict[str, int]):
    """The same for every command: aiosmtpd's own table is shared by all sessions and grows with each EHLO."""

    def __missing__(self, command: str) -> int:
        return LINE_LIMIT


class Connection(SMTP):  # type: ignore[misc]  # aiosmtpd has no types
    """The asyncio protocol."""

    command_size_limit = LINE_LIMIT
    command_size_limits = _LineLimits()

    def __init__(
        self, service: Service, rules: object, listener: Listener, loop: asyncio.AbstractEventLoop, authenticator: Any = None
    ) -> None:
        """`rules` are the hooks of aiosmtpd."""
        self._service = service
        self._limits = service.limits
        self._listener = listener
        self._ssl_object: ssl.SSLObject | None = None
        self._timeout_handle: asyncio.TimerHandle | None = None
        self._replies: list[bytes] = []
        self._errors = 0
        self._lines_before = 0
        self._busy = False
        self._congested = False
        self._ending = False
        self._over = True
        self._deadline = 0.0
        super().__init__(
            rules,
            hostname=service.hostname,
            ident=service.ident,
            timeout=service.limits.idle.total_seconds(),
            data_size_limit=None,  # each application has its own
            enable_SMTPUTF8=True,  # not offered, but so such an address gets a proper answer
            auth_require_tls=False,  # the session asks for more
            authenticator=authenticator,
            loop=loop,
        )

    def another(self) -> Self:
        """A session like this one, which was itself never connected.

        aiosmtpd's constructor looks through all attributes of the session and its handler, and makes a reader that we don't use: that
        takes as long as the commands of a mail. `tests/contract/listen/test_another.py` compares what both ways make.
        """
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        StreamReaderProtocol.__init__(made, None, made._cb_client_connected, self.loop)  # type: ignore[arg-type]  # None is allowed
        made._smtp_methods = {name: MethodType(method.__func__, made) for name, method in self._smtp_methods.items()}
        made._auth_methods = {
            name: found._replace(method=MethodType(found.method.__func__, made)) for name, found in self._auth_methods.items()
        }
        made._replies = []
        return made

    def connection_made(self, transport: Any) -> None:
        self._client = read_client(transport.get_extra_info("peername")[0])
        self._peer = str(self._client)
        self._ssl_object = transport.get_extra_info("ssl_object")
        if self._ssl_object is None:  # with it, the client was let in before the handshake
            try:
                self._service.enter(self._client, self._listener)
            except Refused as refused:
                events.session_refused(self._peer, refused.text)
                transport.write(on_the_wire(str(refused)))
                transport.close()
                return
        self._over = False
        self._service.sessions.add(self)
        super().connection_made(transport)
        self._handler_coroutine.add_done_callback(self._ended)

    def _cb_client_connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._reader = self._inbound = Inbound(self.loop, writer.transport, self._flush)

    def data_received(self, data: bytes) -> None:
        if not self._over:
            self._inbound.feed(data)

    def eof_received(self) -> bool:
        if self._over:
            return False
        self._inbound.feed_eof()
        return not self.session.tls  # the client may still read; with TLS that is not possible

    def connection_lost(self, error: Exception | None) -> None:
        if self._over:
            return
        self._over = True
        self._service.counts.leave(self._client)
        if self._busy:
            self._handler_coroutine = self.loop.create_future()  # aiosmtpd cancels this; the door finishes what it began
        super().connection_lost(error)
        if self not in self._service.sessions:
            self._let_go()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._service.left(self)
        problem = None if task.cancelled() else task.exception()
        if problem is not None and not isinstance(problem, ConnectionError):
            events.session_broke(self._peer, repr(problem))
            self.abort()
        if self._over:
            self._let_go()

    def _let_go(self) -> None:
        """Of everything that refers to the session: so it disappears at once, and no collector has to look for it."""
        self._smtp_methods.clear()
        self._auth_methods.clear()
        self._client_connected_cb = self._handler_coroutine = None
        del self._reader, self._writer, self._inbound

    async def _start_tls(self) -> None:
        """Raises TLSSetupException."""
        certificates = self._service.certificates
        assert certificates is not None, "serve() insists on them"
        try:
            timeout = self._limits.handshake.total_seconds()
            await self._writer.start_tls(certificates.context(), ssl_handshake_timeout=timeout)
        except OSError as problem:
            raise TLSSetupException(str(problem) or repr(problem)) from problem
        self.transport = self._writer.transport
        self._inbound.use(self.transport)
        self._ssl_object = self.transport.get_extra_info("ssl_object")
        self.session = self._create_session()

    # ---- time -------------------------------------------------------------------------------------------------------

    def _reset_timeout(self, duration: float | None = None) -> None:
        """A new deadline. The timer runs once and looks whether it was moved: cheaper than a new one for each command."""
        self._deadline = self.loop.time() + (duration or self._timeout_duration)
        if self._timeout_handle is None:
            self._timeout_handle = self.loop.call_at(self._deadline, self._timeout_cb)

    def _timeout_cb(self) -> None:
        deadline = self._current_deadline()
        if self.loop.time() < deadline:
            self._timeout_handle = self.loop.call_at(deadline, self._timeout_cb)
        else:
            self._end("421 4.4.2 Nothing heard from you for too long; closing the connection")

    def _current_deadline(self) -> float:
        idle = self._timeout_duration
        if self._busy:
            return float(self.loop.time() + idle)
        inbound = self._inbound
        if inbound.decoder is None:
            return self._deadline
        return float(idle + min(inbound.heard, inbound.began + inbound.decoder.received / self._limits.slowest))

    # ---- the end ----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End at once, unless a mail is on its way: then after it."""
        if not self.envelope.mail_from and not self._busy:
            self._end(str(shutting_down()))

    def abort(self) -> None:
        self._writer.transport.abort()

    def _end(self, reply: str) -> None:
        """Say it and close, from outside of the session's task."""
        if self._ending:
            return
        self._ending = True
        self._replies.append(on_the_wire(reply))
        self._write()
        self._writer.close()
        self._abort_later()

    async def _hang_up(self) -> None:
        """Close so that the client can read our last reply: if it is still sending, closing at once would throw that away."""
        self._ending = True
        self._abort_later()
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()
        try:
            async with asyncio.timeout(self._limits.linger.total_seconds()):
                await self._inbound.drop(_LAST_WORDS)
        except TimeoutError:
            pass
        self._writer.close()
        raise asyncio.CancelledError

    def _abort_later(self) -> None:
        """A client that does not read can't keep us from closing."""
        assert self._timeout_handle is not None, "connection_made set it"
        self._timeout_handle.cancel()
        self._timeout_handle = self.loop.call_later(2 * self._limits.linger.total_seconds(), self.abort)

    # ---- replies ----------------------------------------------------------------------------------------------------

    async def push(self, status: str | bytes) -> None:
        """One line of reply."""
        await self._reply(on_the_wire(status))

    async def _reply(self, reply: bytes) -> None:
        """A whole reply with its line ends."""
        if self._over:
            return
        self._replies.append(reply)
        code = reply[:3]
        if code not in _HANG_UP:
            self._errors += code.startswith(b"5")
            if self._errors > self._limits.max_errors or self._inbound.lines - self._lines_before > self._limits.max_commands:
                self._replies.append(on_the_wire("421 4.7.0 Too many errors or commands; closing the connection"))
                code = _HANG_UP[0]
        if code in _AT_ONCE:
            self._write()
        if code in _HANG_UP:
            await self._hang_up()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._congested = True

    def resume_writing(self) -> None:
        super().resume_writing()
        self._congested = False

    def _flush(self) -> Awaitable[None] | None:
        """Something to wait for, if the client does not read its replies."""
        if self._replies:
            self._write()
        return self._writer.drain() if self._congested else None

    def _write(self) -> None:
        if not self._writer.is_closing():
            self._writer.write(b"".join(self._replies))
        self._replies.clear()

    def _name(self) -> str:
        """As whom the client is told of in the log."""
        raise NotImplementedError

    async def handle_exception(self, error: Exception) -> str:
        """The reply to what a command raised; aiosmtpd's `except Exception` is the session's one."""
        name = self._name()
        match error:
            case Smuggling():
                events.smuggling_refused(self._peer, name, error.flaw.value)
                return str(error)
            case Refused():
                events.submission_refused(self._peer, name, error.code, error.enhanced, error.text, error.why)
                return str(error)
            case TLSSetupException():
                events.tls_failed(self._peer, str(error))
                return ""
            case _:
                events.session_broke(self._peer, repr(error))
                # In the middle of DATA there is no way back to commands.
                return f"{451 if self._inbound.decoder is None else 421} 4.3.0 A problem of ours; try again later"
