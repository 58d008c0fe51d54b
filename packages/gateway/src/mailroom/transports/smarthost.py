"""The smarthost transport: hands mail to another SMTP server, over connections that are kept.

aiosmtplib connects, speaks TLS and signs in (`smtp_opening`); then `smtp_wire` and `smtp_dialogue` drive the mails themselves, because
aiosmtplib knows no pipelining, wants the whole body in memory, and counts some cut-off replies as answers.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from mailroom.objects import SmarthostRoute
from mailroom.ports import Clock, Job, Message, Remember
from mailroom.transports.smtp_body import Body, Unreadable, prepare
from mailroom.transports.smtp_dialogue import Envelope, Limits, Outcomes, Timeouts, transact
from mailroom.transports.smtp_opening import NoConnection, Opening, tls_context
from mailroom.transports.smtp_pool import IDLE, MAILS, Pool
from mailroom.transports.smtp_reply import shorten
from mailroom.transports.smtp_wire import Features, Wire
from mailroom.transports.ways import SMARTHOST, not_ours, way_of
from mailroom_core.errors import MimeError
from mailroom_core.model import Deferred, DeliveryId, Failed, Outcome, Reply, Sent

ReturnAddress = Callable[[Message, DeliveryId], str | None]
"""The envelope sender of a delivery; None: that of its mail."""
TAKEN = "taken."
"""What a fact begins with that says which delivery the server has taken."""
_SHARE = 0.95
"""Of an attempt's time that we use, so that its end is our outcome and not the worker's."""

# RFC 5321 4.1.2: Dot-string or Quoted-string; what is allowed inside is the server's business, except what could leave the brackets.
_MAILBOX = re.compile(r'(?:"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"|[^\x00-\x20\x7f"(),:;<>\\\[\]]+)(?:@[^\x00-\x20\x7f"<>]+)?')


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
        self._return_address = return_address
        self._route = route
        self._timeouts = timeouts or Timeouts()
        self._opening = Opening(
            server_name,
            route,
            user=route.user or mailbox,
            helo=helo,
            password=password,
            token=token,
            patience=self._timeouts.connect,
            tls=tls,
            tell=tell,
        )
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
            busy = Reply(0, f"all {self._route.connections} connections to {self._opening.where} were busy; it is tried again")
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
        why = f"{self._opening.where} gave no answer and can't be asked; the mail is sent again and may arrive twice"
        taken = {each: job.attempt.facts[name] for each in job.recipients if (name := f"{TAKEN}{each}") in job.attempt.facts}
        again: Outcomes = dict.fromkeys(job.recipients, Deferred(Reply(0, why, "4.4.2")))
        return again | {each: Sent(Reply(250, said)) for each, said in taken.items()}

    async def close(self) -> None:
        await self._pool.close()

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
            why = f"{self._opening.where} can't carry this mail as it is ({problem}); use another server"
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

    async def _connect(self, deadline: float) -> Wire:
        """Raises NoConnection and VaultError."""
        try:
            return await self._opening.connect(deadline)
        except NoConnection as problem:
            if isinstance(problem.outcome, Deferred):  # while other connections stand, the server only wants no more of them
                raise NoConnection(replace(problem.outcome, lane=not self._pool.others())) from None
            raise


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
