"""Opening an SMTP connection: greeting, EHLO, TLS, sign-in; and what is said of one that can't be opened."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import cast

import aiosmtplib

from mailroom.objects import Security, SmarthostRoute
from mailroom.transports.smtp_reply import Answer, shorten
from mailroom.transports.smtp_table import Stage
from mailroom.transports.smtp_verdict import judge
from mailroom.transports.smtp_wire import Features, Wire
from mailroom_core.model import Deferred, Failed, Held, Reply


class NoConnection(Exception):
    """There is no connection to send over; `outcome` says for how long, and what to do; `step`, what it failed at."""

    def __init__(self, outcome: Deferred | Held, step: str = "connect") -> None:
        super().__init__(str(outcome.reply))
        self.outcome = outcome
        self.step = step


def tls_context(route: SmarthostRoute) -> ssl.SSLContext:
    """Verifies the server's certificate and name, against `ca_file` alone if there is one. Raises OSError."""
    context = ssl.create_default_context(cafile=route.ca_file or None)
    if route.client_certificate:
        context.load_cert_chain(route.client_certificate, route.client_key or None)
    return context


class Opening:
    """Opens connections to one server. `password()` and `token(refused)` give the secrets when they are needed and raise VaultError.

    With a token, `user` signs in by XOAUTH2. `patience` is for all until the connection is signed in.
    """

    def __init__(
        self,
        server_name: str,
        route: SmarthostRoute,
        *,
        user: str,
        helo: str,
        password: Callable[[], Awaitable[str]] | None = None,
        token: Callable[[str], Awaitable[str]] | None = None,
        patience: timedelta = timedelta(seconds=30),
        tls: Callable[[SmarthostRoute], ssl.SSLContext] = tls_context,
        tell: Callable[[str, str, bool], None] | None = None,
    ) -> None:
        self._name = server_name
        self._route = route
        self._user = user
        self._helo = route.helo or helo
        self._password = password
        self._token = token
        self._patience = patience.total_seconds()
        self._tls = tls
        self._tls_cache: tuple[tuple[int, ...], ssl.SSLContext] | None = None
        self._tell = tell
        self._step = ""
        """What is being done: connect, TLS, sign-in."""
        self.certificate_ends: datetime | None = None
        """That of the server, as the last connection has shown it."""

    @property
    def where(self) -> str:
        return f"{self._route.host}:{self._route.port}"

    async def connect(self, deadline: float) -> Wire:
        """Raises NoConnection and VaultError."""
        secret = await self._secret("")
        try:
            try:
                return await self._open(secret, deadline)
            except aiosmtplib.SMTPAuthenticationError as problem:
                # The provider may have ended the token before its time: one fresh one.
                if self._token is None or problem.code < 500 or (fresh := await self._secret(secret)) == secret:
                    raise
                secret = fresh
                return await self._open(secret, deadline)
        except (NoConnection, aiosmtplib.SMTPException, OSError, ValueError) as problem:
            outcome = problem.outcome if isinstance(problem, NoConnection) else self._explain(problem, secret)
            step = "TLS" if any(isinstance(cause, ssl.SSLError) for cause in _causes(problem)) else self._step
            raise NoConnection(outcome, step) from None

    async def _secret(self, refused: str) -> str:
        if self._token is not None:
            return await self._token(refused)
        return await self._password() if self._password is not None and self._user else ""

    async def _open(self, secret: str, deadline: float) -> Wire:
        """Greeting, EHLO, TLS, AUTH. Raises SMTPException, OSError (also SSLError and TimeoutError), ValueError, NoConnection."""
        encrypted, self._step = self._route.security is not Security.NONE, "TLS"
        context = await self._context() if encrypted else None
        self._step = "connect"
        smtp = aiosmtplib.SMTP(
            hostname=self._route.host,
            port=self._route.port,
            local_hostname=self._helo,
            use_tls=self._route.security is Security.TLS,
            start_tls=False,
            tls_context=context,
            timeout=self._patience,
        )
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + self._patience)):
                self._told("connect", str(await smtp.connect()))
                if self._route.security is Security.TLS:
                    self._encrypted(smtp)
                await _hello(smtp)
                if self._route.security is Security.STARTTLS:
                    self._step = "TLS"
                    await self._start_tls(smtp)
                    self._encrypted(smtp)
                if self._user:
                    self._step = "sign-in"
                    await self._sign_in(smtp, secret)
                    self._told("sign-in", f"accepted, as {self._user}")
        except BaseException:
            smtp.close()
            raise
        if smtp.transport is None:
            raise aiosmtplib.SMTPServerDisconnected("the server closed the connection")
        return Wire(cast(asyncio.Transport, smtp.transport), _features(smtp), tell=self._tell)

    def _told(self, step: str, said: str) -> None:
        if self._tell:
            self._tell(step, said, True)

    def _encrypted(self, smtp: aiosmtplib.SMTP) -> None:
        self.certificate_ends = _end_of_certificate(smtp)
        self._told("TLS", _cipher(smtp))

    async def _context(self) -> ssl.SSLContext:
        """Made anew when one of its files has changed: certificates are renewed without a restart."""
        files = [name for name in (self._route.ca_file, self._route.client_certificate, self._route.client_key) if name]
        try:
            stamp = tuple(os.stat(name).st_mtime_ns for name in files)
            if self._tls_cache is None or self._tls_cache[0] != stamp:
                self._tls_cache = stamp, await asyncio.to_thread(self._tls, self._route)
        except OSError as problem:
            why = f"the certificate files of the server {self._name!r} can't be used ({problem}); look at {', '.join(files)}"
            raise NoConnection(Held(Reply(0, shorten(why)), lane=True)) from None
        return self._tls_cache[1]

    async def _start_tls(self, smtp: aiosmtplib.SMTP) -> None:
        if not smtp.supports_extension("starttls"):  # RFC 3207 6: somebody on the way may have removed it
            why = f"{self.where} offers no STARTTLS, and nothing is sent in clear text; if it never does, set security to tls or none"
            raise NoConnection(Deferred(Reply(0, why, "4.7.0"), lane=True))
        await smtp.starttls()
        await _hello(smtp)

    async def _sign_in(self, smtp: aiosmtplib.SMTP, secret: str) -> None:
        offered = smtp.server_auth_methods
        if self._token is not None and "xoauth2" in offered:
            await _xoauth2(smtp, self._user, secret)
        elif self._token is None and "plain" in offered:
            await smtp.auth_plain(self._user, secret)
        elif self._token is None and "login" in offered:
            await smtp.auth_login(self._user, secret)
        else:
            wanted = "XOAUTH2" if self._token is not None else "PLAIN or LOGIN"
            why = f"{self.where} offers no sign-in by {wanted} (only {' '.join(offered).upper() or 'none'}); look at port and security"
            raise NoConnection(Deferred(Reply(0, shorten(why), "4.7.0"), lane=True))

    def _explain(self, problem: Exception, secret: str) -> Deferred | Held:
        if isinstance(problem, aiosmtplib.SMTPResponseException):
            stage = Stage.SIGN_IN if isinstance(problem, aiosmtplib.SMTPAuthenticationError) else Stage.GREETING
            return _refusal(problem.code, _hide(problem.message, self._user, secret), stage)
        tls = next((cause for cause in _causes(problem) if isinstance(cause, ssl.SSLError)), None)
        if isinstance(tls, ssl.SSLCertVerificationError):
            why = f"the certificate of {self.where} is not trusted ({tls.verify_message}); put its CA into ca_file, or its name into host"
            return Held(Reply(0, shorten(why), "4.7.5"), lane=True)
        if tls is not None and re.search("CERTIFICATE|UNKNOWN_CA", tls.reason or ""):
            why = f"{self.where} does not take our certificate ({tls.reason}); look at client_certificate and client_key"
            return Held(Reply(0, shorten(why), "4.7.5"), lane=True)
        if tls is not None:
            why = f"no TLS with {self.where} ({tls.reason or tls}); security is starttls on port 587 or 25, and tls on port 465"
        elif isinstance(problem, UnicodeError) or not isinstance(problem, (OSError, aiosmtplib.SMTPException)):
            why = f"the server {self._name!r} has a host, helo, user or password that SMTP can't carry ({type(problem).__name__})"
            return Held(Reply(0, why), lane=True)
        elif isinstance(problem, TimeoutError):
            why = f"{self.where} did not answer in time; look at host, port and the firewall"
        else:
            why = f"no connection to {self.where} ({_hide(str(problem), self._user, secret)}); look at host, port and the firewall"
        return Deferred(Reply(0, shorten(why), "4.4.1"), lane=True)


def _cipher(smtp: aiosmtplib.SMTP) -> str:
    """Version and cipher of a TLS connection."""
    cipher = smtp.transport.get_extra_info("cipher") if smtp.transport else None
    return f"{cipher[1]}, {cipher[0]}; the certificate is trusted" if cipher else "encrypted"


def _end_of_certificate(smtp: aiosmtplib.SMTP) -> datetime | None:
    shown = smtp.transport.get_extra_info("peercert") if smtp.transport else None
    if not shown or "notAfter" not in shown:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC)


async def _hello(smtp: aiosmtplib.SMTP) -> None:
    try:
        await smtp.ehlo()
    except aiosmtplib.SMTPHeloError as problem:
        if problem.code not in {500, 501, 502, 504, 550}:  # RFC 5321 3.2: it may know HELO alone
            raise
        await smtp.helo()


async def _xoauth2(smtp: aiosmtplib.SMTP, user: str, token: str) -> None:
    # In two steps: a token makes the line longer than some servers take (graph.md 7.1).
    line = base64.b64encode(f"user={user}\x01auth=Bearer {token}\x01\x01".encode())
    answer = await smtp.execute_command(b"AUTH", b"XOAUTH2")
    if answer.code == 334:
        answer = await smtp.execute_command(line)
    if answer.code == 334:  # Google's way to say no: details first, and the 535 after an empty line; Microsoft's 535 comes at once
        answer = await smtp.execute_command(b"")
    if answer.code != 235:
        raise aiosmtplib.SMTPAuthenticationError(answer.code, answer.message)


def _features(smtp: aiosmtplib.SMTP) -> Features:
    limit = smtp.esmtp_extensions.get("size", "").split(" ")[0]
    return Features(
        pipelining=smtp.supports_extension("pipelining"),
        eight_bit=smtp.supports_extension("8bitmime"),
        utf8=smtp.supports_extension("smtputf8"),
        size=smtp.supports_extension("size"),
        max_size=int(limit) if limit.isascii() and limit.isdigit() else 0,
    )


def _refusal(code: int, message: str, stage: Stage) -> Deferred | Held:
    if not 400 <= code < 600:
        return Deferred(Reply(0, f"the server's answer makes no sense: {shorten(message)}", "4.5.0"), lane=True)
    lines = tuple(f"{code} {line}".encode() for line in message.split("\n"))
    outcome = judge(Answer(code, lines).reply(), stage)
    # No mail fails because a connection was refused: nothing of it was mentioned yet.
    return Deferred(outcome.reply, lane=True) if isinstance(outcome, Failed) else outcome


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__


def _hide(text: str, user: str, secret: str) -> str:
    """Some servers repeat in an error what they were sent."""
    if not secret:
        return text
    plain = base64.b64encode(f"\0{user}\0{secret}".encode()).decode()
    bearer = base64.b64encode(f"user={user}\x01auth=Bearer {secret}\x01\x01".encode()).decode()
    for hidden in (plain, bearer, base64.b64encode(secret.encode()).decode(), secret):
        text = text.replace(hidden, "[hidden]")
    return text
