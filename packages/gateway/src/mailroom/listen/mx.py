"""The MX listener: other servers bring mail for our addresses (RFC 5321), usually on 25. Nobody signs in, and nothing is relayed."""

# ruff: noqa: N802  aiosmtpd finds hooks by their name

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from aiosmtpd.smtp import Envelope

from mailroom.intake.arrive import Arriving
from mailroom.listen.commands import Commands, commands_of
from mailroom.listen.door import Client
from mailroom.listen.listener import Limits, Listener, TlsMode
from mailroom.listen.path import NULL
from mailroom.listen.receive import Received, too_large
from mailroom.listen.rules import Visit, announced_size, check_messages
from mailroom.listen.service import Service
from mailroom.listen.serving import Running, listen
from mailroom.listen.tls import Certificates
from mailroom.spool import SpoolFile
from mailroom_core.errors import Refused

_POSTMASTER = "<postmaster>"


class MxDoor(Protocol):
    """What the MX listener needs from the house. Everything but `accept` answers at once, from memory."""

    def check_recipient(self, client: Client, address: str) -> None:
        """Raises Refused (550) if mail for this address is not ours to take."""

    def postmaster(self) -> str:
        """Who is meant by `<postmaster>`, which has no domain (RFC 5321 4.5.1); empty if we have no domain."""

    async def accept(self, mail: Arriving) -> str:
        """Take responsibility. Returns after the commit with a line for the client. Raises Refused."""


class MxRules:
    """The handler of aiosmtpd: raises Refused, or answers what the client reads."""

    def __init__(self, service: Service, door: MxDoor) -> None:
        self._service = service
        self._door = door

    def __dir__(self) -> list[str]:
        return ["handle_MAIL", "handle_RCPT"]  # aiosmtpd looks through it for every connection

    async def handle_MAIL(self, server: object, visit: Visit, envelope: Envelope, address: str, options: list[str]) -> str:
        service = self._service
        check_messages(service, visit, envelope)
        if announced_size(options) > service.limits.max_size:
            raise too_large(service.limits.max_size)
        service.rates.count(visit.client)
        envelope.mail_from = address
        visit.crowded = False
        return "250 2.1.0 Sender OK"

    async def handle_RCPT(self, server: object, visit: Visit, envelope: Envelope, address: str, options: list[str]) -> str:
        if address == NULL:
            raise Refused(553, "5.1.3", "The null address can't be a recipient")
        if len(envelope.rcpt_tos) >= self._service.limits.max_recipients:
            return str(visit.too_many_recipients())
        try:
            self._door.check_recipient(visit.client, address)
        except Refused:
            await asyncio.sleep(self._service.limits.tarpit.total_seconds())
            raise
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient OK"


class MxSession(Commands):
    """From the greeting to the handing over."""

    def __init__(self, service: Service, door: MxDoor, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._door = door
        super().__init__(service, MxRules(service, door), listener, loop)

    def __dir__(self) -> list[str]:
        return _METHODS

    def _name(self) -> str:
        return "mx"

    def _create_session(self) -> Visit:
        visit = Visit(self.loop, self._client)
        tls = self._ssl_object
        visit.tls = (tls.version() or "TLS") if tls is not None else ""
        visit.can_start_tls = self._listener.mode is TlsMode.STARTTLS and not visit.tls
        return visit

    async def _handle_client(self) -> None:
        """Who speaks before we have greeted is no mail server."""
        pause = self._limits.greet_pause.total_seconds()
        if pause and await self._inbound.speaks_within(pause):
            await self.push("521 5.5.1 A client waits for the greeting (RFC 5321 3.1); closing the connection")
        await super()._handle_client()

    def _getaddr(self, arg: str) -> tuple[str, str]:
        if arg.lower() == _POSTMASTER and (postmaster := self._door.postmaster()):
            return postmaster, ""
        return super()._getaddr(arg)

    def _announced(self) -> int:
        return self._limits.max_size

    def _offers(self) -> list[str]:
        return []

    def _limit(self) -> int:
        return self._limits.max_size

    async def _hand_over(self, received: Received, spool: SpoolFile) -> str:
        visit = self.session
        return await self._door.accept(
            Arriving(
                sender=self._sender,
                recipients=tuple(dict.fromkeys(self.envelope.rcpt_tos)),
                raw=received.raw,
                spool=spool.path if received.raw is None else None,
                size=received.size,
                client=self._client,
                helo=visit.host_name,
                protocol=("ESMTP" if visit.extended_smtp else "SMTP") + ("S" if visit.tls else ""),
            )
        )


_METHODS = [name for name in commands_of(MxSession) if name != "smtp_AUTH" and not name.startswith("auth_")]


async def serve_mx(
    listener: Listener,
    door: MxDoor,
    *,
    spool: Path,
    hostname: str,
    certificates: Certificates | None = None,
    limits: Limits | None = None,
    ident: str = "ESMTP Mailroom",
    clock: Callable[[], float] = time.monotonic,
) -> Running:
    """Listen. Raises ConfigError if the port can't be had."""
    service = Service(limits=limits or Limits(), spool=spool, hostname=hostname, ident=ident, certificates=certificates, clock=clock)
    loop = asyncio.get_running_loop()
    return await listen(service, [listener], lambda each: MxSession(service, door, each, loop).another)
