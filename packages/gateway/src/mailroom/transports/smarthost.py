"""The smarthost transport: hands mail to another SMTP server, over connections that are kept.

aiosmtplib connects, speaks TLS and signs in; after that, `smtp_wire` and `smtp_dialogue` drive the mails themselves, because
aiosmtplib knows no pipelining, wants the whole body in memory, and counts some cut-off replies as answers.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import aiosmtplib

from mailroom.objects import Security, SmarthostRoute
from mailroom.ports import Clock, Job, Message, Remember
from mailroom.transports.smtp_body import Body, Unreadable, prepare
from mailroom.transports.smtp_dialogue import Envelope, Limits, Outcomes, Timeouts, transact
from mailroom.transports.smtp_pool import IDLE, MAILS, Pool
from mailroom.transports.smtp_reply import Answer, shorten
from mailroom.transports.smtp_table import Stage
from mailroom.transports.smtp_verdict import judge
from mailroom.transports.smtp_wire import Features, Wire
from mailroom.transports.ways import SMARTHOST, not_ours, way_of
from mailroom_core.errors import MimeError
from mailroom_core.model import Deferred, DeliveryId, Failed, Held, Outcome, Reply, Sent

ReturnAddress = Callable[[Message, DeliveryId], str | None]
"""The envelope sender of a delivery; None: that of its mail."""
TAKEN = "taken."
"""What a fact begins with that says which delivery the server has taken."""
_SHARE = 0.95
"""Of an attempt's time that we use, so that its end is our outcome and not the worker's."""

# RFC 5321 4.1.2: Dot-string or Quoted-string; what is allowed inside is the server's business, except what could leave the brackets.
_MAILBOX = re.compile(r'(?:"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"|[^\x00-\x20\x7f"(),:;<>\\\[\]]+)(?:@[^\x00-\x20\x7f"<>]+)?')


class NoConnection(Exception):
    """There is no connection to send over; `outcome` says for how long, and what to do."""

    def __init__(self, outcome: Deferred | Held) -> None:
        super().__init__(str(outcome.reply))
        self.outcome = outcome


def tls_context(route: SmarthostRoute) -> ssl.SSLContext:
    """Verifies the server's certificate and name, against `ca_file` alone if there is one. Raises OSError."""
    context = ssl.create_default_context(cafile=route.ca_file or None)
    if route.client_certificate:
        context.load_cert_chain(route.client_certificate, route.client_key or None)
    return context


class Smarthost:
    """`password()` and `token(refused)` give the secrets when they are needed and raise VaultError.

    `return_address` gives a delivery an envelope sender of its own; such deliveries leave one after the other, and each yes is remembered.
    With a token, `user` of the route or else `mailbox` signs in by XOAUTH2. `tell(step, said, ok)` hears what the server says to each step.
    """

    def __init__(
        self,
        server_name: str,
        route: SmarthostRoute,
        *,
        password: Callable[[], Awaitable[str]] | None = None,
        token: Callable[[str], Awaitable[str]] | None = None,
        mailbox: str = "",
        helo: str,
        timeouts: Timeouts | None = None,
        idle: float = IDLE,
        mails_per_connection: int = MAILS,
        tls: Callable[[SmarthostRoute], ssl.SSLContext] = tls_context,
        clock: Clock = lambda: datetime.now(UTC),
        tell: Callable[[str, str, bool], None] | None = None,
        return_address: ReturnAddress | None = None,
    ) -> None:
        self._name = server_name
        self._tell = tell
        self._return_address = return_address
        self._route = route
        self._password = password
        self._token = token
        self._user = route.user or mailbox
        self._helo = route.helo or helo
        self._timeouts = timeouts or Timeouts()
        self._tls = tls
        self._tls_cache: tuple[tuple[int, ...], ssl.SSLContext] | None = None
        self._clock = clock
        self._pool = Pool(self._connect, connections=route.connections, idle=idle, mails=mails_per_connection)

    @property
    def way(self) -> str:
        return SMARTHOST

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        """Raises VaultError if the password or the token can't be had; nothing was sent then."""
        limits = self._limits(job)
        try:
            await self._pool.enter(limits.hard)
        except TimeoutError:
            busy = Reply(0, f"all {self._route.connections} connections to {self._where} were busy; it is tried again")
            return dict.fromkeys(job.recipients, Deferred(busy))
        try:
            outcomes = await self._over_a_wire(job, limits, remember, fresh=False)
            if outcomes is None:
                outcomes = await self._over_a_wire(job, limits, remember, fresh=True)
            assert outcomes is not None, "a fresh connection is never stale"
            return outcomes
        except NoConnection as problem:
            return dict.fromkeys(job.recipients, problem.outcome)
        finally:
            self._pool.leave()

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        """SMTP has no question for it. So it is sent again with the same Message-ID, as SMTP servers have always done."""
        if way_of(job) != SMARTHOST:
            return dict.fromkeys(job.recipients, not_ours(job))
        why = f"{self._where} gave no answer and can't be asked; the mail is sent again and may arrive twice"
        taken = {each: job.attempt.facts[name] for each in job.recipients if (name := f"{TAKEN}{each}") in job.attempt.facts}
        again: Outcomes = dict.fromkeys(job.recipients, Deferred(Reply(0, why, "4.4.2")))
        return again | {each: Sent(Reply(250, said)) for each, said in taken.items()}

    async def close(self) -> None:
        await self._pool.close()

    @property
    def _where(self) -> str:
        return f"{self._route.host}:{self._route.port}"

    def _limits(self, job: Job) -> Limits:
        left = (job.attempt.deadline - self._clock()).total_seconds()
        return Limits(self._timeouts, asyncio.get_running_loop().time() + max(left, 0) * _SHARE)

    # -- one mail

    async def _over_a_wire(self, job: Job, limits: Limits, remember: Remember, *, fresh: bool) -> Outcomes | None:
        wire = await self._pool.take(limits.hard, fresh=fresh)
        try:
            return await self._send(wire, job, limits, remember)
        except BaseException:
            wire.drop("the attempt was stopped")
            raise
        finally:
            self._pool.give(wire)

    async def _send(self, wire: Wire, job: Job, limits: Limits, remember: Remember) -> Outcomes | None:
        envelopes, refused = self._envelopes(job, wire.features)
        if not envelopes:
            return refused
        rest = [each for envelope in envelopes for each in envelope.recipients]
        try:
            body = await prepare(job.source, rewrite_from=job.message.rewrite_from, eight_bit=wire.features.eight_bit)
        except Unreadable as problem:
            return {**refused, **dict.fromkeys(rest, Deferred(Reply(0, str(problem))))}
        except MimeError as problem:  # RFC 3463 3.7: conversion is required, but can't be done
            why = f"{self._where} can't carry this mail as it is ({problem}); use another server"
            return {**refused, **dict.fromkeys(rest, Failed(Reply(554, shorten(why), "5.6.3")))}
        if too_big := _too_big(body, wire.features):
            return {**refused, **dict.fromkeys(rest, too_big)}
        first, *others = envelopes
        outcomes = await transact(wire, first, body, limits)
        if outcomes is None:
            return None
        return {**refused, **outcomes, **await self._one_by_one(wire, outcomes, others, body, limits, remember)}

    async def _one_by_one(
        self, wire: Wire, before: Outcomes, envelopes: Sequence[Envelope], body: Body, limits: Limits, remember: Remember
    ) -> Outcomes:
        """The same mail to others, each with an envelope of its own, after one that has got these outcomes."""
        outcomes: Outcomes = {}
        for envelope in envelopes:
            await remember({f"{TAKEN}{number}": str(each.reply.text)[:200] for number, each in before.items() if isinstance(each, Sent)})
            found = None if wire.broken else await transact(wire, envelope, body, limits)
            before = found or dict.fromkeys(envelope.recipients, Deferred(Reply(0, "the connection ended before its turn came", "4.4.2")))
            outcomes |= before
        return outcomes

    def _envelopes(self, job: Job, features: Features) -> tuple[list[Envelope], Outcomes]:
        """One for each envelope sender, and outcomes for the recipients for whom none can be said in SMTP."""
        senders: dict[str, dict[DeliveryId, str]] = {}
        for delivery, address in job.recipients.items():
            own = self._return_address(job.message, delivery) if self._return_address else None
            senders.setdefault(job.message.sender or "" if own is None else own, {})[delivery] = address
        envelopes, refused = [], Outcomes()
        for sender, recipients in senders.items():
            envelope, not_said = _envelope(sender, recipients, features)
            refused |= not_said
            if envelope.recipients:
                envelopes.append(envelope)
        return envelopes, refused

    # -- one connection

    async def _connect(self, deadline: float) -> Wire:
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
            if isinstance(outcome, Deferred):  # while other connections stand, the server only wants no more of them
                outcome = replace(outcome, lane=not self._pool.others())
            raise NoConnection(outcome) from None

    async def _secret(self, refused: str) -> str:
        if self._token is not None:
            return await self._token(refused)
        return await self._password() if self._password is not None and self._user else ""

    async def _open(self, secret: str, deadline: float) -> Wire:
        """Greeting, EHLO, TLS, AUTH. Raises SMTPException, OSError (also SSLError and TimeoutError), ValueError, NoConnection."""
        encrypted = self._route.security is not Security.NONE
        smtp = aiosmtplib.SMTP(
            hostname=self._route.host,
            port=self._route.port,
            local_hostname=self._helo,
            use_tls=self._route.security is Security.TLS,
            start_tls=False,
            tls_context=await self._context() if encrypted else None,
            timeout=self._timeouts.connect.total_seconds(),
        )
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + self._timeouts.connect.total_seconds())):
                self._told("connect", str(await smtp.connect()))
                if self._route.security is Security.TLS:
                    self._told("TLS", _cipher(smtp))
                await _hello(smtp)
                if self._route.security is Security.STARTTLS:
                    await self._start_tls(smtp)
                    self._told("TLS", _cipher(smtp))
                if self._user:
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
            why = f"{self._where} offers no STARTTLS, and nothing is sent in clear text; if it never does, set security to tls or none"
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
            why = f"{self._where} offers no sign-in by {wanted} (only {' '.join(offered).upper() or 'none'}); look at port and security"
            raise NoConnection(Deferred(Reply(0, shorten(why), "4.7.0"), lane=True))

    def _explain(self, problem: Exception, secret: str) -> Deferred | Held:
        if isinstance(problem, aiosmtplib.SMTPResponseException):
            stage = Stage.SIGN_IN if isinstance(problem, aiosmtplib.SMTPAuthenticationError) else Stage.GREETING
            return _refusal(problem.code, _hide(problem.message, self._user, secret), stage)
        tls = next((cause for cause in _causes(problem) if isinstance(cause, ssl.SSLError)), None)
        if isinstance(tls, ssl.SSLCertVerificationError):
            why = f"the certificate of {self._where} is not trusted ({tls.verify_message}); put its CA into ca_file, or its name into host"
            return Held(Reply(0, shorten(why), "4.7.5"), lane=True)
        if tls is not None and re.search("CERTIFICATE|UNKNOWN_CA", tls.reason or ""):
            why = f"{self._where} does not take our certificate ({tls.reason}); look at client_certificate and client_key"
            return Held(Reply(0, shorten(why), "4.7.5"), lane=True)
        if tls is not None:
            why = f"no TLS with {self._where} ({tls.reason or tls}); security is starttls on port 587 or 25, and tls on port 465"
        elif isinstance(problem, UnicodeError) or not isinstance(problem, (OSError, aiosmtplib.SMTPException)):
            why = f"the server {self._name!r} has a host, helo, user or password that SMTP can't carry ({type(problem).__name__})"
            return Held(Reply(0, why), lane=True)
        elif isinstance(problem, TimeoutError):
            why = f"{self._where} did not answer in time; look at host, port and the firewall"
        else:
            why = f"no connection to {self._where} ({_hide(str(problem), self._user, secret)}); look at host, port and the firewall"
        return Deferred(Reply(0, shorten(why), "4.4.1"), lane=True)


def _cipher(smtp: aiosmtplib.SMTP) -> str:
    """Version and cipher of a TLS connection."""
    cipher = smtp.transport.get_extra_info("cipher") if smtp.transport else None
    return f"{cipher[1]}, {cipher[0]}; the certificate is trusted" if cipher else "encrypted"


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


def _envelope(sender: str, to: Mapping[DeliveryId, str], features: Features) -> tuple[Envelope, Outcomes]:
    """What can be said in SMTP, and outcomes for the recipients for whom it can't."""
    refused: Outcomes = {}
    if sender and (problem := _unspeakable(sender, features)):
        return Envelope("", {}, False), dict.fromkeys(to, Failed(problem))
    recipients: dict[DeliveryId, str] = {}
    for delivery, address in to.items():
        if problem := _unspeakable(address, features):
            refused[delivery] = Failed(problem, bad_address=problem.enhanced == "5.1.3")
        else:
            recipients[delivery] = address
    utf8 = not (sender.isascii() and all(address.isascii() for address in recipients.values()))
    return Envelope(sender, recipients, utf8), refused


def _unspeakable(address: str, features: Features) -> Reply | None:
    if not _MAILBOX.fullmatch(address):
        return Reply(553, "this is no mail address; correct it and send again", "5.1.3")
    if not address.isascii() and not features.utf8:
        return Reply(553, "the next server takes no addresses beyond ASCII (SMTPUTF8); use another one", "5.6.7")
    return None


def _too_big(body: Body, features: Features) -> Failed | None:
    limit = features.max_size
    if not limit or body.content.length <= limit:
        return None
    text = f"the mail has {body.content.length} bytes and the next server takes {limit}; make it smaller, or use another server"
    return Failed(Reply(552, text, "5.3.4"))
